// Large allocations become regions; small ones, and those on a device that has no runtime, are the
// driver's. A pointer that is no region is freed by the driver, which knows what to say of it.
#include <algorithm>

#include "interpose/cuda_result.h"
#include "interpose/natively.h"
#include "interpose/submit.h"

namespace vhbm::interpose {
namespace {

// True when `result` is the answer; false when the driver is to be asked.
bool allocated(const HookScope& scope, Runtime* runtime, CUdeviceptr* out, Bytes size,
               CUresult* result) {
  if (runtime == nullptr || out == nullptr || size.value == 0) return false;
  // The driver then says so itself, and breaks the capture as it does natively.
  if (Session::get().captures.forbid_allocation(scope.linkage())) return false;
  const auto region = runtime->allocate(size);
  if (region.status().code() == Errc::too_small || region.status().code() == Errc::frozen) {
    return false;
  }
  if (region.ok()) *out = region->value;
  *result = to_cuda(region.status());
  return true;
}

// The distance of rows that the driver would choose, or 0 when it would refuse.
std::size_t pitch_of(const HookScope& scope, std::size_t width, unsigned element_size) {
  CUdevice device = 0;
  int alignment = 0;
  if (!scope.linked() || (element_size != 4 && element_size != 8 && element_size != 16)) return 0;
  const Queries& ask = scope.linkage().ask;
  if (ask.cuCtxGetDevice == nullptr || ask.cuCtxGetDevice(&device) != CUDA_SUCCESS ||
      ask.cuDeviceGetAttribute(&alignment, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, device) !=
          CUDA_SUCCESS) {
    return 0;
  }
  return Bytes{width}.rounded_up_to({static_cast<std::uint64_t>(std::max(alignment, 512))}).value;
}

// True when the pointer was a region's and `result` says how freeing it went.
bool freed(const HookScope& scope, CUdeviceptr address, CUresult* result) {
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || !runtime->owns({address})) return false;
  *result = scope.refused();
  if (*result == CUDA_SUCCESS) *result = to_cuda(runtime->free({address}));
  return true;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm;
using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr* out, std::size_t size) {
  const HookScope scope;
  Runtime* const runtime = scope.start_here();
  CUresult result = CUDA_SUCCESS;
  if (allocated(scope, runtime, out, {size}, &result)) return result;
  return natively(
      scope, runtime, NativeKind::device, {size},
      [&] { return scope.call(&Functions::cuMemAlloc_v2, out, size); }, [&] { return *out; });
}

CUresult CUDAAPI cuMemAllocPitch_v2(CUdeviceptr* out, std::size_t* pitch, std::size_t width,
                                    std::size_t height, unsigned element_size) {
  const HookScope scope;
  Runtime* const runtime = scope.start_here();
  const std::size_t row =
      runtime == nullptr || pitch == nullptr ? 0 : pitch_of(scope, width, element_size);
  std::size_t size = 0;
  CUresult result = CUDA_SUCCESS;
  if (__builtin_mul_overflow(row, height, &size)) size = 0;
  if (allocated(scope, runtime, out, {size}, &result)) {
    if (result == CUDA_SUCCESS) *pitch = row;
    return result;
  }
  return natively(
      scope, runtime, NativeKind::device, {size},
      [&] {
        return scope.call(&Functions::cuMemAllocPitch_v2, out, pitch, width, height, element_size);
      },
      [&] { return *out; });
}

CUresult CUDAAPI cuMemFree_v2(CUdeviceptr address) {
  const HookScope scope;
  CUresult result = CUDA_SUCCESS;
  if (freed(scope, address, &result)) return result;
  if (scope.outermost()) Session::native_goes(address);
  result = scope.call(&Functions::cuMemFree_v2, address);
  if (result == CUDA_SUCCESS && scope.outermost()) {
    Session::get().native_freed(NativeKind::device, address);
  }
  return result;
}

}  // extern "C"
