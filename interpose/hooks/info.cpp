// What an application sees of its memory: one region is one allocation of device memory, in every
// state.
#include "interpose/hook_scope.h"
#include "interpose/region_attributes.h"

namespace vhbm::interpose {
namespace {

std::optional<RegionView> region_of(const HookScope& scope, CUdeviceptr address) {
  const Runtime* const runtime = scope.runtime();
  return runtime == nullptr ? std::nullopt : runtime->find({address});
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
  const MemoryInfo info = runtime->memory_info();
  if (free != nullptr) *free = info.free.value;
  if (total != nullptr) *total = info.total.value;
  return result;
}

CUresult CUDAAPI cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* size,
                                         CUdeviceptr address) {
  const HookScope scope;
  const auto region = region_of(scope, address);
  if (!region) return scope.call(&Functions::cuMemGetAddressRange_v2, base, size, address);
  if (base != nullptr) *base = region->base.value;
  if (size != nullptr) *size = region->size.value;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuPointerGetAttribute(void* out, CUpointer_attribute attribute,
                                       CUdeviceptr address) {
  const HookScope scope;
  const auto region = region_of(scope, address);
  if (!region || out == nullptr) {
    return scope.call(&Functions::cuPointerGetAttribute, out, attribute, address);
  }
  return region_attribute(*region, address, attribute, out);
}

CUresult CUDAAPI cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** out,
                                        CUdeviceptr address) {
  const HookScope scope;
  // The driver checks the arguments, and clears what it has no answer for.
  const CUresult result =
      scope.call(&Functions::cuPointerGetAttributes, count, attributes, out, address);
  const auto region = region_of(scope, address);
  if (!region || result != CUDA_SUCCESS) return result;
  for (unsigned i = 0; i < count; ++i) {
    // This form leaves null where the other one refuses.
    if (region_attribute(*region, address, attributes[i], out[i]) != CUDA_SUCCESS) {
      clear_attribute(attributes[i], out[i]);
    }
  }
  return result;
}

}  // extern "C"
