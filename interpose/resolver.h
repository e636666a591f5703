// The loader's own dlsym and dlvsym, and libcuda's functions found through them.
// Works from the process's first instruction on: other libraries' constructors may run before ours.
#pragma once

namespace vhbm::interpose {

using DlSym = void* (*)(void* handle, const char* name);
using DlVSym = void* (*)(void* handle, const char* name, const char* version);

// The C library's; never null on a supported system.
DlSym real_dlsym() noexcept;
DlVSym real_dlvsym() noexcept;

// libcuda.so.1 as it is loaded now, or nullptr. Loads nothing.
void* loaded_libcuda() noexcept;

// libcuda's own function of that name, or nullptr while libcuda is not loaded.
void* native_function(const char* name) noexcept;

// The definition after this library's, as the loader orders them: another preloaded library's, else
// libcuda's. nullptr while there is none.
void* next_function(const char* name) noexcept;

}  // namespace vhbm::interpose
