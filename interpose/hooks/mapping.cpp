// The mappings behind the regions. cuMemAlloc's memory has none that a program could see, hold,
// export or take away; a handle of ours that got out would name bytes that have moved on. So the
// window's addresses are refused as the driver refuses those of cuMemAlloc; all else is passed on.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {
namespace {

// Whether any of [address, address + size) is ours, or was opened through us.
bool reaches_window(const HookScope& scope, CUdeviceptr address, std::size_t size) {
  const Runtime* const runtime = scope.runtime();
  return runtime != nullptr &&
         (runtime->overlaps({address}, {size}) || runtime->maps_shared({address}));
}

template <typename... P>
CUresult unless_ours(CUresult refused, CUdeviceptr address, std::size_t size,
                     CUresult (CUDAAPI* Functions::*function)(P...),
                     std::type_identity_t<P>... arguments) {
  const HookScope scope;
  if (reaches_window(scope, address, size)) return refused;
  return scope.call(function, arguments...);
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset,
                          CUmemGenericAllocationHandle handle, unsigned long long flags) {
  return unless_ours(CUDA_ERROR_INVALID_VALUE, address, size, &Functions::cuMemMap, address, size,
                     offset, handle, flags);
}

CUresult CUDAAPI cuMemUnmap(CUdeviceptr address, std::size_t size) {
  return unless_ours(CUDA_ERROR_INVALID_VALUE, address, size, &Functions::cuMemUnmap, address,
                     size);
}

CUresult CUDAAPI cuMemAddressFree(CUdeviceptr address, std::size_t size) {
  return unless_ours(CUDA_ERROR_INVALID_VALUE, address, size, &Functions::cuMemAddressFree, address,
                     size);
}

CUresult CUDAAPI cuMemSetAccess(CUdeviceptr address, std::size_t size,
                                const CUmemAccessDesc* accesses, std::size_t count) {
  return unless_ours(CUDA_ERROR_INVALID_VALUE, address, size, &Functions::cuMemSetAccess, address,
                     size, accesses, count);
}

CUresult CUDAAPI cuMemGetAccess(unsigned long long* out, const CUmemLocation* location,
                                CUdeviceptr address) {
  return unless_ours(CUDA_ERROR_INVALID_VALUE, address, 1, &Functions::cuMemGetAccess, out,
                     location, address);
}

CUresult CUDAAPI cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* address) {
  return unless_ours(CUDA_ERROR_INVALID_VALUE, reinterpret_cast<CUdeviceptr>(address), 1,
                     &Functions::cuMemRetainAllocationHandle, out, address);
}

}  // extern "C"
