// How this process's libnvidia-ml is reached, as linkage.h says it of libcuda: the definitions
// after ours, the library's own, and which hook stands for which function. Built once the library
// is loaded, then immutable. Locking: none.
#pragma once

#include "interpose/nvml_types.h"

namespace vhbm::interpose {

extern "C" {
#define NVML_HOOK(symbol, ...) NvmlResult symbol(__VA_ARGS__);
#define NVML_QUERY(symbol, ...)
#include "interpose/nvml.def"
#undef NVML_QUERY
#undef NVML_HOOK
}

// Any of these may be nullptr: older libraries lack the newer ones.
struct NvmlFunctions {
#define NVML_HOOK(symbol, ...) NvmlResult (*symbol)(__VA_ARGS__) = nullptr;
#define NVML_QUERY(symbol, ...)
#include "interpose/nvml.def"
#undef NVML_QUERY
#undef NVML_HOOK
};

struct NvmlQueries {
#define NVML_HOOK(symbol, ...)
#define NVML_QUERY(symbol, ...) NvmlResult (*symbol)(__VA_ARGS__) = nullptr;
#include "interpose/nvml.def"
#undef NVML_QUERY
#undef NVML_HOOK
};

class NvmlLinkage {
 public:
  NvmlFunctions next, own;
  NvmlQueries ask;

  // The hook that stands for `function`, or `function` itself.
  [[nodiscard]] void* hook_or(void* function) const noexcept;

 private:
  friend const NvmlLinkage* nvml_linkage() noexcept;
  explicit NvmlLinkage(void* library);
  bool disabled_ = false;
};

// nullptr while libnvidia-ml is not loaded.
const NvmlLinkage* nvml_linkage() noexcept;

}  // namespace vhbm::interpose
