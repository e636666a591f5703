// What stands behind each hook: the function to call on, and libcuda's own, by which an answer of the
// resolvers is recognised. symbols.def is the only list.
// Locking: filled once, then read by all threads.
#pragma once

#include <cuda.h>

// Functions that older toolkits do not declare.
#if CUDA_VERSION < 12050
extern "C" CUresult cuCtxCreate_v4(CUcontext*, void*, unsigned, CUdevice);
#endif

namespace vhbm::interpose {

struct RealFunctions {
#define HOOK(group, symbol) decltype(&::symbol) symbol = nullptr;
#include "interpose/symbols.def"
#undef HOOK
};

// The functions to call on; all null while no driver is loaded. The first call after libcuda was loaded
// fills the table.
const RealFunctions& real() noexcept;

// The hook of libcuda's function `native`, or nullptr when that is none we hook.
void* hook_of(void* native) noexcept;

// Whether a name is in the table at all: a quick answer for resolvers.
bool is_hooked_name(const char* name) noexcept;

// A hook for which the driver at hand has no function; what a stub library answers too.
constexpr CUresult kNoDriver = CUDA_ERROR_NOT_INITIALIZED;

}  // namespace vhbm::interpose
