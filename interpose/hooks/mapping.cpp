// The mappings behind the regions, which only they know of.
#include "interpose/hook_scope.h"

using namespace vhbm::interpose;

extern "C" {

// cuMemAlloc's memory can be exported this way where the device allows it. A region says that this
// device does not.
CUresult CUDAAPI cuMemGetHandleForAddressRange(void* out, CUdeviceptr address, std::size_t size,
                                               CUmemRangeHandleType type,
                                               unsigned long long flags) {
  const HookScope scope;
  const vhbm::Runtime* const runtime = scope.runtime();
  if (runtime != nullptr && runtime->overlaps({address}, {size})) return CUDA_ERROR_NOT_SUPPORTED;
  return scope.call(&Functions::cuMemGetHandleForAddressRange, out, address, size, type, flags);
}

}  // extern "C"
