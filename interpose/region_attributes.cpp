// The mapping behind a region would tell of one chunk, and of host memory where it is host-mapped,
// which programs act on; behind one of cuMemAlloc's, of a null context, too.
#include "interpose/region_attributes.h"

#include <cstring>

namespace vhbm::interpose {
namespace {

// Identities of regions, of the application's own memory, and of what the driver knows must not
// meet.
constexpr unsigned long long region_ids = 1ull << 63, memory_ids = 3ull << 62;

unsigned long long identity(const RegionView& region) {
  return region.memory ? memory_ids | region.memory->id.value : region_ids | region.id.value;
}

template <typename T>
CUresult give(void* out, T value) {
  std::memcpy(out, &value, sizeof value);
  return CUDA_SUCCESS;
}

}  // namespace

CUresult region_attribute(const RegionView& region, CUdeviceptr address,
                          CUpointer_attribute attribute, void* out) {
  const AddressRange range =
      region.memory ? region.memory->reservation : AddressRange{region.base, region.size};
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return give(out, region.context);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return give<unsigned>(out, CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return give(out, address);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      return give<unsigned>(out, 0);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      return give(out, identity(region));
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return give<unsigned>(out, 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return give<int>(out, region.device);
    // Exporting and registering a region is not offered.
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      return give(out, false);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      return give<unsigned long long>(out, region.memory ? region.memory->handle_types : 0);
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      return give(out, false);
#if CUDA_VERSION >= 12080
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      return give(out, false);
#endif
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return give<CUdeviceptr>(out, range.base.value);
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      return give<CUdeviceptr>(out, region.base.value);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return give<std::size_t>(out, range.size.value);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      return give<std::size_t>(out, region.size.value);
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return give(out, true);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      static_assert(static_cast<int>(CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE) ==
                    static_cast<int>(CU_MEM_ACCESS_FLAGS_PROT_READWRITE));
      return give<unsigned>(
          out, region.memory ? region.memory->access : CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      return give(out, region.pool);
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      return give(out, identity(region));
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

void range_attribute(const AddressRange& range, CUpointer_attribute attribute, void* out) {
  if (attribute == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR) (void)give(out, range.base.value);
  if (attribute == CU_POINTER_ATTRIBUTE_RANGE_SIZE) (void)give(out, range.size.value);
}

}  // namespace vhbm::interpose
