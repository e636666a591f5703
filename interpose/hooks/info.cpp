// What an application sees of its memory: one region is one allocation of device memory, in every
// state.
#include "interpose/hook_scope.h"
#include "interpose/region_attributes.h"
#include "interpose/told_memory.h"

namespace vhbm::interpose {
namespace {

// An address that no memory has. The driver is asked of it in place of one in the window that is no
// region's, since there it would tell of a mapping, or of the window itself.
constexpr CUdeviceptr nobodys = 1;

struct Asked {
  std::optional<RegionView> region;
  CUdeviceptr address;  // what to ask the driver of, where there is no region
};

Asked look_up(const HookScope& scope, CUdeviceptr address) {
  const Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || !runtime->owns({address})) return {std::nullopt, address};
  return {runtime->find({address}), nobodys};
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm;
using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  const HookScope scope;
  // The driver is asked as well: what is wrong with the call, it knows.
  const CUresult result = scope.call(&Functions::cuMemGetInfo_v2, free, total);
  if (result != CUDA_SUCCESS) return result;
  const Runtime* const runtime = scope.start_here();
  if (runtime == nullptr) return result;
  const MemoryInfo info = runtime->memory_info(runtime->current_device());
  if (free != nullptr) *free = info.free.value;
  if (total != nullptr) *total = info.total.value;
  return result;
}

CUresult CUDAAPI cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuDeviceTotalMem_v2, bytes, device);
  if (result != CUDA_SUCCESS || !scope.outermost()) return result;
  // Nothing of the device's free memory goes into its total.
  if (const auto told = told_of(device, {*bytes}, {})) *bytes = told->total.value;
  return result;
}

CUresult CUDAAPI cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* size,
                                         CUdeviceptr address) {
  const HookScope scope;
  const auto [region, asked] = look_up(scope, address);
  if (!region) return scope.call(&Functions::cuMemGetAddressRange_v2, base, size, asked);
  if (const CUresult refused = scope.refused(); refused != CUDA_SUCCESS) return refused;
  if (base != nullptr) *base = region->base.value;
  if (size != nullptr) *size = region->size.value;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuPointerGetAttribute(void* out, CUpointer_attribute attribute,
                                       CUdeviceptr address) {
  const HookScope scope;
  const auto [region, asked] = look_up(scope, address);
  if (!region || out == nullptr) {
    return scope.call(&Functions::cuPointerGetAttribute, out, attribute, asked);
  }
  return region_attribute(*region, address, attribute, out);
}

CUresult CUDAAPI cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** out,
                                        CUdeviceptr address) {
  const HookScope scope;
  // The driver checks the arguments, and of nobody's address it clears every answer.
  const auto [region, asked] = look_up(scope, address);
  const CUresult result =
      scope.call(&Functions::cuPointerGetAttributes, count, attributes, out, asked);
  if (!region || result != CUDA_SUCCESS) return result;
  for (unsigned i = 0; i < count; ++i) {
    // Where the single form refuses, what the driver cleared stays.
    (void)region_attribute(*region, address, attributes[i], out[i]);
  }
  return result;
}

}  // extern "C"
