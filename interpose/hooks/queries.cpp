// What an application can ask about its memory: the same answers that cuMemAlloc's memory gives, wherever
// the pages are. The driver alone would say HOST of a host-mapped chunk, and one mapping of a region.
#include <cstring>

#include "interpose/hook_scope.h"
#include "interpose/hook_table.h"

using namespace vhbm;
using namespace vhbm::interpose;

namespace {

std::optional<RegionView> region_at(const HookScope& scope, CUdeviceptr address) {
  if (!scope.entered()) return std::nullopt;
  Runtime* owner = Process::instance().owner({address});
  return owner == nullptr ? std::nullopt : owner->find({address});
}

template <typename T>
CUresult give(void* out, T value) {
  std::memcpy(out, &value, sizeof value);
  return CUDA_SUCCESS;
}

// The driver's own answer stands for what is not listed.
enum class Answered { yes, no };
Answered attribute(const RegionView& region, CUpointer_attribute which, CUdeviceptr address, void* out,
                   CUresult* result) {
  *result = CUDA_SUCCESS;
  switch (which) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: give(out, region.context); break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: give<unsigned>(out, CU_MEMORYTYPE_DEVICE); break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: give(out, address); break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: *result = CUDA_ERROR_INVALID_VALUE; break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID: give<unsigned long long>(out, region.id.value); break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: give<unsigned>(out, 0); break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: give<int>(out, region.device); break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: give(out, region.base.value); break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE: give<size_t>(out, region.size.value); break;
    case CU_POINTER_ATTRIBUTE_MAPPED: give<bool>(out, true); break;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: give<unsigned long long>(out, region.id.value); break;
    default: return Answered::no;
  }
  return Answered::yes;
}

}  // namespace

extern "C" CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  if (real().cuMemGetInfo_v2 == nullptr) return kNoDriver;
  HookScope scope;
  const CUresult result = real().cuMemGetInfo_v2(free_bytes, total);
  Runtime* runtime = scope.entered() && result == CUDA_SUCCESS ? Process::instance().current() : nullptr;
  if (runtime == nullptr) return result;
  const MemoryInfo info = runtime->memory_info();
  if (free_bytes != nullptr) *free_bytes = info.free.value;
  if (total != nullptr) *total = info.total.value;
  return result;
}

extern "C" CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* size, CUdeviceptr address) {
  if (real().cuMemGetAddressRange_v2 == nullptr) return kNoDriver;
  HookScope scope;
  const auto region = region_at(scope, address);
  if (!region.has_value()) return real().cuMemGetAddressRange_v2(base, size, address);
  if (base != nullptr) *base = region->base.value;
  if (size != nullptr) *size = region->size.value;
  return CUDA_SUCCESS;
}

extern "C" CUresult cuPointerGetAttribute(void* out, CUpointer_attribute which, CUdeviceptr address) {
  if (real().cuPointerGetAttribute == nullptr) return kNoDriver;
  HookScope scope;
  const auto region = region_at(scope, address);
  CUresult result = CUDA_SUCCESS;
  if (region.has_value() && out != nullptr &&
      attribute(*region, which, address, out, &result) == Answered::yes) {
    return result;
  }
  return real().cuPointerGetAttribute(out, which, address);
}

extern "C" CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute* which, void** out,
                                           CUdeviceptr address) {
  if (real().cuPointerGetAttributes == nullptr) return kNoDriver;
  HookScope scope;
  const CUresult result = real().cuPointerGetAttributes(count, which, out, address);
  const auto region = region_at(scope, address);
  if (result != CUDA_SUCCESS || !region.has_value()) return result;
  for (unsigned int i = 0; i < count; ++i) {
    CUresult one = CUDA_SUCCESS;
    attribute(*region, which[i], address, out[i], &one);
    // This form leaves null where the single form refuses.
    if (one != CUDA_SUCCESS) give<void*>(out[i], nullptr);
  }
  return result;
}
