// What the driver tells of a pointer: native device memory, page-locked host memory, and VMM
// mappings, which differ in several answers (cuda.h: CUpointer_attribute).
#include <cstring>

#include "lifecycle.h"

namespace simgpu {
namespace {

// All there is to know of an address, gathered once.
struct Pointer {
  bool known = false;
  bool vmm = false;
  bool host = false;            // the bytes are in host memory
  bool host_usable = false;     // the CPU may dereference it
  CUcontext context = nullptr;  // null for VMM memory and a pool's
  CUmemoryPool pool = nullptr;
  int device = 0;
  CUdeviceptr begin = 0;  // of the allocation; for VMM the reservation
  std::size_t size = 0;
  CUdeviceptr mapping_begin = 0;
  std::size_t mapping_size = 0;
  unsigned long long id = 0;
  unsigned handle_types = 0;
  CUmemAccess_flags access = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
};

Pointer look_up(Machine& m, CUdeviceptr address) {
  Pointer found;
  if (const Native native = m.find_native(address); native.allocation != nullptr) {
    found.known = true;
    found.context = reinterpret_cast<CUcontext>(native.allocation->context);
    found.pool = reinterpret_cast<CUmemoryPool>(native.pool);
    found.device = native.device->ordinal;
    found.begin = found.mapping_begin = native.base;
    found.size = found.mapping_size = native.allocation->size;
    found.id = native.allocation->id;
    return found;
  }
  AddressSpace::Range range{};
  if (const Mapping* mapping = m.space.find_mapping(address, &range)) {
    found.known = found.vmm = true;
    found.mapping_begin = range.begin;
    found.mapping_size = range.size;
    found.host = mapping->frame->properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE;
    found.device = found.host ? 0 : mapping->frame->properties.location.id;
    found.host_usable = mapping->host_access != CU_MEM_ACCESS_FLAGS_PROT_NONE;
    found.id = mapping->frame->id;
    found.handle_types = mapping->frame->properties.requestedHandleTypes;
    auto access = mapping->device_access.find(found.device);
    found.access =
        access == mapping->device_access.end() ? CU_MEM_ACCESS_FLAGS_PROT_NONE : access->second;
    m.space.find_reservation(address, &range);
    found.begin = range.begin;
    found.size = range.size;
    return found;
  }
  const void* host_base = nullptr;
  if (const HostRange* host = m.host_memory.find(reinterpret_cast<void*>(address), &host_base)) {
    found.known = true;
    found.host = found.host_usable = (host->flags & kModuleVariable) == 0;
    found.context = reinterpret_cast<CUcontext>(host->context);
    found.device = host->context->device->ordinal;
    found.begin = found.mapping_begin = reinterpret_cast<CUdeviceptr>(host_base);
    found.size = found.mapping_size = host->size;
    found.id = host->id;
  }
  return found;
}

template <typename T>
CUresult give(void* out, T value) {
  std::memcpy(out, &value, sizeof value);
  return CUDA_SUCCESS;
}

CUresult attribute_of(const Pointer& p, CUpointer_attribute attribute, CUdeviceptr address,
                      void* out) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return give(out, p.context);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return give<unsigned>(out, p.host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return give(out, address);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (!p.host_usable) return CUDA_ERROR_INVALID_VALUE;
      return give(out, reinterpret_cast<void*>(address));
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      return give<unsigned>(out, 0);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      return give(out, p.id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return give<unsigned>(out, 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return give<int>(out, p.device);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      return give<bool>(out, !p.vmm && !p.host && p.pool == nullptr);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return give(out, p.begin);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return give(out, p.size);
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return give<bool>(out, true);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      return give<unsigned long long>(out, p.handle_types);
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      return give<bool>(out, !p.vmm && !p.host);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return give<unsigned>(out, p.access);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      return give(out, p.pool);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      return give(out, p.mapping_size);
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      return give(out, p.mapping_begin);
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      return give(out, p.id);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

// A reserved address is known as such, though nothing is mapped there.
CUresult attribute_of_reserved(Machine& m, CUpointer_attribute attribute, CUdeviceptr address,
                               void* out) {
  AddressSpace::Range range{};
  if (!m.space.find_reservation(address, &range)) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return give<bool>(out, false);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return give(out, range.begin);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return give(out, range.size);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

// Bytes of each attribute's answer, for cuPointerGetAttributes on memory the driver does not know.
std::size_t size_of(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      return sizeof(bool);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return sizeof(unsigned);
    default:
      return sizeof(unsigned long long);
  }
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuPointerGetAttribute(void* out, CUpointer_attribute attribute, CUdeviceptr address) {
  SIMGPU_CALL(driver);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Pointer found = look_up(m, address);
  if (!found.known) return attribute_of_reserved(m, attribute, address, out);
  return attribute_of(found, attribute, address, out);
}

// For a pointer the driver does not know this "will not return an error"; its answers are null and
// 0.
CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** out,
                                CUdeviceptr address) {
  SIMGPU_CALL(driver);
  if (count == 0 || attributes == nullptr || out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Pointer found = look_up(m, address);
  for (unsigned i = 0; i < count; ++i) {
    if (out[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::memset(out[i], 0, size_of(attributes[i]));
    if (found.known) {
      attribute_of(found, attributes[i], address, out[i]);
    } else if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
      give<int>(out[i], -2);  // CU_DEVICE_INVALID
    } else {
      attribute_of_reserved(m, attributes[i], address, out[i]);
    }
  }
  return CUDA_SUCCESS;
}

CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute,
                               CUdeviceptr address) {
  SIMGPU_CALL(driver);
  const Pointer found = look_up(m, address);
  if (value == nullptr || !found.known || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return found.vmm ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}
}
