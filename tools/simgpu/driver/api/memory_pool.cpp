// The stream-ordered allocator: pools, and allocations from them in the order of a stream.
#include <cstring>

#include "engine/submit.h"
#include "memory/memory_pool.h"

namespace simgpu {

Device* find_device(CUdevice device);

namespace {

MemoryPool* find_pool(Machine& m, CUmemoryPool handle) {
  const auto pool = m.pools.find(handle);
  return pool == nullptr || pool->destroyed ? nullptr : pool.get();
}

CUresult allocate(Call& call, CUdeviceptr* out, std::size_t size, MemoryPool* pool,
                  Stream& stream) {
  if (out == nullptr || pool == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (stream.capture != nullptr) return CUDA_ERROR_NOT_SUPPORTED;  // memory nodes of graphs
  if (CUresult result = check_legacy_use(call.context(), stream); result != CUDA_SUCCESS)
    return result;
  std::vector<OperationPtr> after;
  if (CUresult result = pool->allocate(size, stream, out, &after); result != CUDA_SUCCESS)
    return result;
  stream.submit(DriverWork{[pool, address = *out] {
                  auto lock = machine()->lock();
                  pool->open(address);
                }},
                std::move(after));
  return CUDA_SUCCESS;
}

// An attribute of a pool: how it is read, and whether and how it may be set.
struct Integers {
  CUmemPool_attribute attribute;
  int MemoryPool::*value;
};
constexpr Integers kIntegers[] = {
    {CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &MemoryPool::follow_events},
    {CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &MemoryPool::opportunistic},
    {CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES, &MemoryPool::internal_dependencies},
};

int MemoryPool::*integer(CUmemPool_attribute attribute) {
  for (const Integers& known : kIntegers) {
    if (known.attribute == attribute) return known.value;
  }
  return nullptr;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* properties) {
  SIMGPU_CALL(driver);
  if (out == nullptr || properties == nullptr ||
      properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
      properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  Device* device = find_device(properties->location.id);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  *out = m.pools.add(
      std::make_shared<MemoryPool>(device->ordinal, properties->maxSize, &device->hbm, &m.space));
  return CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool handle) {
  SIMGPU_CALL(driver);
  MemoryPool* pool = find_pool(m, handle);
  if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Device& owner = *m.devices[static_cast<std::size_t>(pool->device)];
  if (pool == owner.default_pool) return CUDA_ERROR_INVALID_VALUE;
  if (pool == owner.current_pool) owner.current_pool = owner.default_pool;
  pool->destroyed = true;
  m.drop_drained_pools();
  return CUDA_SUCCESS;
}

CUresult cuMemPoolTrimTo(CUmemoryPool handle, std::size_t keep) {
  SIMGPU_CALL(driver);
  MemoryPool* pool = find_pool(m, handle);
  if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
  pool->trim(keep);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  SIMGPU_CALL(driver);
  MemoryPool* pool = find_pool(m, handle);
  if (pool == nullptr || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (const auto member = integer(attribute)) {
    std::memcpy(&(pool->*member), value, sizeof(int));
    return CUDA_SUCCESS;
  }
  std::uint64_t wanted = 0;
  std::memcpy(&wanted, value, sizeof wanted);
  switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      pool->release_threshold = wanted;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:  // "High watermark can only be reset to zero."
      if (wanted != 0) return CUDA_ERROR_INVALID_VALUE;
      pool->reserved_high = pool->reserved();
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      if (wanted != 0) return CUDA_ERROR_INVALID_VALUE;
      pool->used_high = pool->used();
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* out) {
  SIMGPU_CALL(driver);
  const MemoryPool* pool = find_pool(m, handle);
  if (pool == nullptr || out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (const auto member = integer(attribute)) {
    std::memcpy(out, &(pool->*member), sizeof(int));
    return CUDA_SUCCESS;
  }
  std::uint64_t value = 0;
  switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      value = pool->release_threshold;
      break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      value = pool->reserved();
      break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      value = pool->reserved_high;
      break;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      value = pool->used();
      break;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      value = pool->used_high;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  std::memcpy(out, &value, sizeof value);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc* map, std::size_t count) {
  SIMGPU_CALL(driver);
  MemoryPool* pool = find_pool(m, handle);
  if (pool == nullptr || (map == nullptr && count > 0)) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_INVALID_VALUE;
    if (find_device(map[i].location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    // A device's access to its own pool is not taken away.
    if (map[i].location.id == pool->device && map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  for (std::size_t i = 0; i < count; ++i) pool->set_access(map[i].location.id, map[i].flags);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool handle,
                            CUmemLocation* location) {
  SIMGPU_CALL(driver);
  const MemoryPool* pool = find_pool(m, handle);
  if (pool == nullptr || flags == nullptr || location == nullptr ||
      location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *flags = pool->access(location->id);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* out, CUdevice device) {
  SIMGPU_CALL(driver);
  const Device* found = find_device(device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUmemoryPool>(found->default_pool);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetMemPool(CUmemoryPool* out, CUdevice device) {
  SIMGPU_CALL(driver);
  const Device* found = find_device(device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUmemoryPool>(found->current_pool);
  return CUDA_SUCCESS;
}

CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool handle) {
  SIMGPU_CALL(driver);
  Device* found = find_device(device);
  MemoryPool* pool = find_pool(m, handle);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (pool == nullptr || pool->device != device) return CUDA_ERROR_INVALID_VALUE;
  found->current_pool = pool;
  return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr* out, std::size_t size, CUstream handle) {
  SIMGPU_CALL_ON(handle);
  return allocate(call, out, size, stream->context->device->current_pool, *stream);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* out, std::size_t size, CUmemoryPool pool,
                                 CUstream handle) {
  SIMGPU_CALL_ON(handle);
  return allocate(call, out, size, find_pool(m, pool), *stream);
}

// Also frees what cuMemAlloc gave, in the stream's order.
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
  SIMGPU_CALL_ON(handle);
  if (address == 0) return CUDA_SUCCESS;
  const Native found = m.find_native(address);
  if (found.allocation == nullptr || found.base != address || found.imported)
    return CUDA_ERROR_INVALID_VALUE;
  if (stream->capture != nullptr) return CUDA_ERROR_NOT_SUPPORTED;  // memory nodes of graphs
  if (CUresult result = check_legacy_use(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  if (found.pool == nullptr) {
    stream->submit(DriverWork{[device = found.device, address] {
      auto lock = machine()->lock();
      device->heap.release(address);
    }});
    return CUDA_SUCCESS;
  }
  const auto free = found.pool->announce_free(address, stream.get());
  free->operation = stream->submit(DriverWork{[pool = found.pool, free] {
    auto lock = machine()->lock();
    pool->finish_free(free);
    machine()->drop_drained_pools();
  }});
  return CUDA_SUCCESS;
}
}
