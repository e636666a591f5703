// What a hook of NVML stands on while it runs: HookScope for libnvidia-ml. Its queries start
// nothing: no CUDA, no runtime, no thread. Locking: none.
#pragma once

#include <optional>
#include <type_traits>

#include "interpose/hook_scope.h"
#include "interpose/nvml_linkage.h"
#include "interpose/told_memory.h"

namespace vhbm::interpose {

class NvmlScope {
 public:
  NvmlScope() noexcept : linkage_(nvml_linkage()) {}

  // The real function's answer; what a missing one would answer.
  template <typename... P>
  NvmlResult call(NvmlResult (*NvmlFunctions::*function)(P...),
                  std::type_identity_t<P>... arguments) const {
    if (linkage_ == nullptr) return NvmlResult::library_not_found;
    const auto real = (scope_.outermost() ? linkage_->next : linkage_->own).*function;
    return real == nullptr ? NvmlResult::function_not_found : real(arguments...);
  }

  // What is told in place of the answer that call() gave of this device; nullopt: the answer holds.
  [[nodiscard]] std::optional<MemoryInfo> told(NvmlDevice device) const noexcept;

 private:
  // The CUDA device that this one is to this process.
  [[nodiscard]] std::optional<CUdevice> cuda_device(NvmlDevice device, int count) const noexcept;
  // Whether it will be one, as far as that can be known before CUDA is initialised.
  [[nodiscard]] bool may_become_one(NvmlDevice device) const noexcept;
  [[nodiscard]] bool numbered_alike(unsigned count) const noexcept;
  // What CUDA can give out of it; nullopt when the library does not say.
  [[nodiscard]] std::optional<NvmlMemory> memory_of(NvmlDevice device) const noexcept;

  const HookScope scope_;
  const NvmlLinkage* const linkage_;
};

}  // namespace vhbm::interpose
