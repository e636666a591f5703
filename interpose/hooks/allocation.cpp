// Allocation: large ones become regions, small ones and all during capture stay the driver's.
#include "interpose/cuda_result.h"
#include "interpose/hook_table.h"
#include "interpose/hook_scope.h"

using namespace vhbm;
using namespace vhbm::interpose;

namespace {

// While a stream is captured an allocation must fail or pass as the driver decides.
Runtime* pager_for_allocation(const HookScope& scope) {
  if (!scope.entered() || Process::instance().capturing()) return nullptr;
  return Process::instance().current();
}

CUresult counted(Runtime* runtime, CUresult result, std::size_t size) {
  if (runtime != nullptr && result == CUDA_SUCCESS) runtime->native_allocated({size});
  return result;
}

bool stays_native(const Status& status) {
  return status.code() == Errc::too_small || status.code() == Errc::unsupported;
}

}  // namespace

extern "C" CUresult cuMemAlloc_v2(CUdeviceptr* out, size_t size) {
  if (real().cuMemAlloc_v2 == nullptr) return kNoDriver;
  HookScope scope;
  Runtime* runtime = pager_for_allocation(scope);
  if (runtime == nullptr || out == nullptr || size == 0) return real().cuMemAlloc_v2(out, size);
  const auto region = runtime->allocate({size});
  if (region.ok()) {
    *out = region->value;
    return CUDA_SUCCESS;
  }
  if (!stays_native(region.status())) return to_cuda(region.status());
  return counted(runtime, real().cuMemAlloc_v2(out, size), size);
}

extern "C" CUresult cuMemAllocPitch_v2(CUdeviceptr* out, size_t* pitch, size_t width, size_t height,
                                       unsigned int element) {
  if (real().cuMemAllocPitch_v2 == nullptr) return kNoDriver;
  HookScope scope;
  Runtime* runtime = pager_for_allocation(scope);
  const bool valid = out != nullptr && pitch != nullptr && width != 0 && height != 0 &&
                     (element == 4 || element == 8 || element == 16);
  if (runtime == nullptr || !valid) return real().cuMemAllocPitch_v2(out, pitch, width, height, element);
  // Rows as far apart as any texture or coalesced access asks for.
  constexpr std::size_t row_alignment = 512;
  const Bytes row = Bytes{width}.rounded_up_to({row_alignment});
  const auto region = runtime->allocate(row * height);
  if (region.ok()) {
    *out = region->value;
    *pitch = row.value;
    return CUDA_SUCCESS;
  }
  if (!stays_native(region.status())) return to_cuda(region.status());
  const CUresult result = real().cuMemAllocPitch_v2(out, pitch, width, height, element);
  return counted(runtime, result, result == CUDA_SUCCESS ? *pitch * height : 0);
}

extern "C" CUresult cuMemFree_v2(CUdeviceptr address) {
  if (real().cuMemFree_v2 == nullptr) return kNoDriver;
  HookScope scope;
  if (!scope.entered()) return real().cuMemFree_v2(address);
  if (Runtime* owner = Process::instance().owner({address})) return to_cuda(owner->free({address}));
  // What the driver gave out itself: it alone knows how much that was.
  Runtime* runtime = address == 0 ? nullptr : Process::instance().current();
  size_t size = 0;
  if (runtime != nullptr &&
      real().cuMemGetAddressRange_v2(nullptr, &size, address) != CUDA_SUCCESS) {
    size = 0;
  }
  const CUresult result = real().cuMemFree_v2(address);
  if (runtime != nullptr && result == CUDA_SUCCESS && size > 0) runtime->native_freed({size});
  return result;
}
