// The depth of hooks on this thread. Initial-exec: the library is there when the process starts.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {

constinit thread_local int HookScope::depth_ = 0;

CUresult HookScope::refused() const noexcept {
  CUdevice device = 0;
  const auto ask = linkage_->ask.cuCtxGetDevice;
  return ask == nullptr ? CUDA_SUCCESS : ask(&device);
}

}  // namespace vhbm::interpose
