// The C library's own dlsym and dlvsym, whose names this library exports. Locking: none; found once
// and kept, and finding them twice does no harm.
#pragma once

namespace vhbm::interpose {

using Dlsym = void* (*)(void* handle, const char* name);
using Dlvsym = void* (*)(void* handle, const char* name, const char* version);

// nullptr only in a process without a C library that has one.
[[nodiscard]] Dlsym real_dlsym() noexcept;
[[nodiscard]] Dlvsym real_dlvsym() noexcept;

}  // namespace vhbm::interpose
