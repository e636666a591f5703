// Device and host allocations.
#include "lifecycle.h"

using namespace simgpu;

namespace {

CUdeviceptr address_of(const void* pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}

// What the driver promises of pitched rows (cuda.h: cuMemAllocPitch): aligned for any coalesced
// access.
constexpr std::size_t kPitchAlignment = 512;

// What pools hold and nobody uses is given back before an allocation fails.
CUresult allocate(Call& call, std::size_t size, CUdeviceptr* out) {
  Device& device = *call.context().device;
  const CUresult result = device.heap.allocate(size, call.context().home, out);
  if (result != CUDA_ERROR_OUT_OF_MEMORY) return result;
  for (const auto& [raw, pool] : machine()->pools) {
    if (pool->device == device.ordinal) pool->trim(0);
  }
  return device.heap.allocate(size, call.context().home, out);
}

// What page-locking costs, where it went well.
CUresult pinned(Call& call, Machine& m, std::size_t size, CUresult result) {
  if (m.costs != nullptr && result == CUDA_SUCCESS) call.spend(m.costs->pin(size));
  return result;
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total) {
  SIMGPU_CALL(context);
  if (free_bytes == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const PhysicalPool& hbm = call.context().device->hbm;
  *free_bytes = hbm.left();
  *total = hbm.budget();
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr* out, std::size_t size) {
  SIMGPU_CALL(context);
  if (out == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  return allocate(call, size, out);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* out, std::size_t* pitch, std::size_t width,
                            std::size_t height, unsigned element) {
  SIMGPU_CALL(context);
  if (out == nullptr || pitch == nullptr || width == 0 || height == 0 ||
      (element != 4 && element != 8 && element != 16)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  *pitch = (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
  return allocate(call, *pitch * height, out);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  SIMGPU_CALL(context);
  if (address == 0) return CUDA_SUCCESS;
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  const Native native = m.find_native(address);
  if (native.allocation == nullptr || native.base != address || native.imported)
    return CUDA_ERROR_INVALID_VALUE;
  if (native.pool != nullptr) {  // "will not perform any implicit synchronization"
    native.pool->finish_free(native.pool->announce_free(address, nullptr));
    m.drop_drained_pools();
    return CUDA_SUCCESS;
  }
  Context* const owner = native.allocation->context;
  // "might block": what is in flight is waited for, which programs rely on (cuda.h: cuMemFree).
  if (owner->alive) owner->synchronize(call.lock());
  if (CUresult result = call.context().error; result != CUDA_SUCCESS) return result;
  return native.device->heap.release(address);
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* size, CUdeviceptr address) {
  SIMGPU_CALL(context);
  CUdeviceptr begin = 0;
  std::size_t length = 0;
  const void* host_begin = nullptr;
  AddressSpace::Range range{};
  if (const Native native = m.find_native(address); native.allocation != nullptr) {
    begin = native.base;
    length = native.allocation->size;
  } else if (m.space.find_mapping(address, &range) != nullptr) {
    begin = range.begin;
    length = range.size;
  } else if (const HostRange* host =
                 m.host_memory.find(reinterpret_cast<void*>(address), &host_begin)) {
    begin = address_of(host_begin);
    length = host->size;
  } else {
    return CUDA_ERROR_NOT_FOUND;
  }
  if (base != nullptr) *base = begin;
  if (size != nullptr) *size = length;
  return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void** out, std::size_t size, unsigned flags) {
  SIMGPU_CALL(context);
  if (out == nullptr || (flags & ~7u) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  return pinned(
      call, m, size,
      m.host_memory.allocate(size, flags | CU_MEMHOSTALLOC_DEVICEMAP, call.context().home, out));
}

CUresult cuMemAllocHost_v2(void** out, std::size_t size) {
  SIMGPU_CALL(context);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  return pinned(call, m, size,
                m.host_memory.allocate(size, CU_MEMHOSTALLOC_DEVICEMAP, call.context().home, out));
}

CUresult cuMemFreeHost(void* address) {
  SIMGPU_CALL(context);
  if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  for (Context* context : m.live_contexts()) context->synchronize(call.lock());
  return m.host_memory.release(address);
}

CUresult cuMemHostRegister_v2(void* address, std::size_t size, unsigned flags) {
  SIMGPU_CALL(context);
  return pinned(call, m, size,
                m.host_memory.add_registered(address, size, flags, call.context().home));
}

CUresult cuMemHostUnregister(void* address) {
  SIMGPU_CALL(context);
  for (Context* context : m.live_contexts()) context->synchronize(call.lock());
  return m.host_memory.remove_registered(address);
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* out, void* address, unsigned flags) {
  SIMGPU_CALL(context);
  const void* base = nullptr;
  if (out == nullptr || flags != 0 || m.host_memory.find(address, &base) == nullptr) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = address_of(address);
  return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned* flags, void* address) {
  SIMGPU_CALL(context);
  const void* base = nullptr;
  const HostRange* range = m.host_memory.find(address, &base);
  if (flags == nullptr || range == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = range->flags;
  return CUDA_SUCCESS;
}
}
