// Device memory that the driver gives out itself: it counts against the limit, so room is made
// before it does, and it goes on the books until it is freed.
#pragma once

#include "interpose/hook_scope.h"

namespace vhbm::interpose {

// `call` asks the driver; `handle` then says by what the memory will be known when it is freed.
template <typename Call, typename Handle>
CUresult natively(const HookScope& scope, Runtime* runtime, NativeKind kind, Bytes size,
                  Call&& call, Handle&& handle) {
  if (runtime != nullptr) runtime->native_allocated(size);
  const CUresult result = call();
  if (runtime == nullptr) return result;
  if (result == CUDA_SUCCESS) {
    Session::get().native_allocated(scope.linkage(), kind, handle(), size);
  } else {
    runtime->native_freed(runtime->current_device(), size);
  }
  return result;
}

}  // namespace vhbm::interpose
