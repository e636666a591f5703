// Virtual memory management. Refusals follow cuda.h, "Virtual Memory Management".
#include "lifecycle.h"

namespace simgpu {
Device* find_device(CUdevice device);
}
using namespace simgpu;

namespace {

bool location_is_device(const CUmemLocation& location) {
  return location.type == CU_MEM_LOCATION_TYPE_DEVICE;
}

// The pool behind a location, or why there is none.
CUresult pool_of(Machine& m, const CUmemAllocationProp& properties, PhysicalPool** pool) {
  switch (properties.location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE: {
      Device* device = find_device(properties.location.id);
      if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
      *pool = &device->hbm;
      return CUDA_SUCCESS;
    }
    case CU_MEM_LOCATION_TYPE_HOST:
      if (properties.requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE)
        return CUDA_ERROR_INVALID_VALUE;
      *pool = &m.host_pool;
      return CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
      if (properties.location.id != 0) return CUDA_ERROR_INVALID_VALUE;  // one node
      *pool = &m.host_pool;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace

extern "C" {

CUresult cuMemGetAllocationGranularity(std::size_t* granularity,
                                       const CUmemAllocationProp* properties,
                                       CUmemAllocationGranularity_flags option) {
  SIMGPU_CALL(driver);
  if (granularity == nullptr || properties == nullptr ||
      option > CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  PhysicalPool* pool = nullptr;
  if (CUresult result = pool_of(m, *properties, &pool); result != CUDA_SUCCESS) return result;
  *granularity = kPageSize;
  return CUDA_SUCCESS;
}

CUresult cuMemAddressReserve(CUdeviceptr* out, std::size_t size, std::size_t alignment,
                             CUdeviceptr hint, unsigned long long flags) {
  SIMGPU_CALL(driver);
  if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return m.space.reserve(size, alignment, hint, out);
}

CUresult cuMemAddressFree(CUdeviceptr address, std::size_t size) {
  SIMGPU_CALL(driver);
  if (m.is_native(address)) return CUDA_ERROR_INVALID_VALUE;
  return m.space.release(address, size);
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* out, std::size_t size,
                     const CUmemAllocationProp* properties, unsigned long long flags) {
  SIMGPU_CALL(driver);
  if (out == nullptr || properties == nullptr || flags != 0 || size == 0 || size % kPageSize != 0 ||
      properties->type != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if ((properties->requestedHandleTypes & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != 0)
    return CUDA_ERROR_NOT_SUPPORTED;
  PhysicalPool* pool = nullptr;
  if (CUresult result = pool_of(m, *properties, &pool); result != CUDA_SUCCESS) return result;
  auto frame = pool->allocate(size);
  if (frame == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  frame->properties = *properties;
  frame->handles = 1;
  *out = reinterpret_cast<CUmemGenericAllocationHandle>(frame.get());
  m.frames[*out] = std::move(frame);
  if (m.costs != nullptr) call.spend(m.costs->create(*properties, size));
  return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  SIMGPU_CALL(driver);
  auto it = m.frames.find(handle);
  if (it == m.frames.end()) return CUDA_ERROR_INVALID_VALUE;
  if (--it->second->handles == 0) m.frames.erase(it);
  return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags) {
  SIMGPU_CALL(driver);
  auto it = m.frames.find(handle);
  if (it == m.frames.end() || offset != 0 || flags != 0 || m.is_native(address)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUresult result = m.space.map(address, size, it->second);
  if (m.costs != nullptr && result == CUDA_SUCCESS) call.spend(m.costs->map());
  return result;
}

CUresult cuMemUnmap(CUdeviceptr address, std::size_t size) {
  SIMGPU_CALL(driver);
  if (m.is_native(address)) return CUDA_ERROR_INVALID_VALUE;
  const std::size_t handles = m.costs == nullptr ? 0 : m.space.mappings_in(address, size);
  const CUresult result = m.space.unmap(address, size);
  if (m.costs != nullptr && result == CUDA_SUCCESS) call.spend(m.costs->unmap(handles));
  return result;
}

CUresult cuMemSetAccess(CUdeviceptr address, std::size_t size, const CUmemAccessDesc* descriptions,
                        std::size_t count) {
  SIMGPU_CALL(driver);
  if (descriptions == nullptr || count == 0 || m.is_native(address))
    return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    const CUmemLocation& location = descriptions[i].location;
    if (location_is_device(location) && find_device(location.id) == nullptr) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
    if (!location_is_device(location) && location.type != CU_MEM_LOCATION_TYPE_HOST &&
        location.type != CU_MEM_LOCATION_TYPE_HOST_NUMA) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  const CUresult result = m.space.set_access(address, size, descriptions, count);
  if (m.costs != nullptr && result == CUDA_SUCCESS) {
    call.spend(m.costs->set_access(m.space.mappings_in(address, size)));
  }
  return result;
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location,
                        CUdeviceptr address) {
  SIMGPU_CALL(driver);
  AddressSpace::Range range{};
  const Mapping* mapping = m.space.find_mapping(address, &range);
  if (flags == nullptr || location == nullptr || mapping == nullptr)
    return CUDA_ERROR_INVALID_VALUE;
  if (location_is_device(*location)) {
    auto it = mapping->device_access.find(location->id);
    *flags = it == mapping->device_access.end() ? CU_MEM_ACCESS_FLAGS_PROT_NONE : it->second;
  } else {
    *flags = mapping->host_access;
  }
  return CUDA_SUCCESS;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* address) {
  SIMGPU_CALL(driver);
  AddressSpace::Range range{};
  const CUdeviceptr at = reinterpret_cast<CUdeviceptr>(address);
  const Mapping* mapping = m.space.find_mapping(at, &range);
  if (out == nullptr || mapping == nullptr || m.is_native(at)) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUmemGenericAllocationHandle>(mapping->frame.get());
  ++mapping->frame->handles;
  m.frames[*out] = mapping->frame;
  return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* out,
                                                CUmemGenericAllocationHandle handle) {
  SIMGPU_CALL(driver);
  auto it = m.frames.find(handle);
  if (out == nullptr || it == m.frames.end()) return CUDA_ERROR_INVALID_VALUE;
  *out = it->second->properties;
  return CUDA_SUCCESS;
}
}
