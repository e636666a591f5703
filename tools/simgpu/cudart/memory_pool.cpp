// Memory pools, and memory of other processes. Structures and numbers are the driver's under other
// names.
#include <cuda_runtime_api.h>

#include <cstring>

#include "call.h"

using namespace simgpu_cudart;

static_assert(sizeof(cudaMemPoolProps) == sizeof(CUmemPoolProps));
static_assert(sizeof(cudaMemAccessDesc) == sizeof(CUmemAccessDesc));
static_assert(sizeof(cudaMemLocation) == sizeof(CUmemLocation));
static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(CUipcMemHandle));
static_assert(int{cudaMemPoolAttrReleaseThreshold} == int{CU_MEMPOOL_ATTR_RELEASE_THRESHOLD} &&
              int{cudaMemPoolAttrUsedMemHigh} == int{CU_MEMPOOL_ATTR_USED_MEM_HIGH});

extern "C" {

cudaError_t cudaMemPoolCreate(cudaMemPool_t* out, const cudaMemPoolProps* properties) {
  return call_driver<&DriverCalls::MemPoolCreate>(
      out, reinterpret_cast<const CUmemPoolProps*>(properties));
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  return call_driver<&DriverCalls::MemPoolDestroy>(pool);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep) {
  return call_driver<&DriverCalls::MemPoolTrimTo>(pool, keep);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return call_driver<&DriverCalls::MemPoolSetAttribute>(
      pool, static_cast<CUmemPool_attribute>(attribute), value);
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return call_driver<&DriverCalls::MemPoolGetAttribute>(
      pool, static_cast<CUmemPool_attribute>(attribute), value);
}

cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc* map, size_t count) {
  return call_driver<&DriverCalls::MemPoolSetAccess>(
      pool, reinterpret_cast<const CUmemAccessDesc*>(map), count);
}

cudaError_t cudaMemPoolGetAccess(cudaMemAccessFlags* flags, cudaMemPool_t pool,
                                 cudaMemLocation* location) {
  if (flags == nullptr) return remember(cudaErrorInvalidValue);
  CUmemAccess_flags found = CU_MEM_ACCESS_FLAGS_PROT_NONE;
  const cudaError_t error = call_driver<&DriverCalls::MemPoolGetAccess>(
      &found, pool, reinterpret_cast<CUmemLocation*>(location));
  if (error == cudaSuccess) *flags = static_cast<cudaMemAccessFlags>(found);
  return error;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* out, int device) {
  return call_driver<&DriverCalls::DeviceGetDefaultMemPool>(out, device);
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* out, int device) {
  return call_driver<&DriverCalls::DeviceGetMemPool>(out, device);
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool) {
  return call_driver<&DriverCalls::DeviceSetMemPool>(device, pool);
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* pointer) {
  return call_in_context<&DriverCalls::IpcGetMemHandle>(reinterpret_cast<CUipcMemHandle*>(handle),
                                                        address(pointer));
}

cudaError_t cudaIpcOpenMemHandle(void** out, cudaIpcMemHandle_t handle, unsigned flags) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  CUipcMemHandle given;
  std::memcpy(&given, &handle, sizeof given);
  CUdeviceptr device = 0;
  const cudaError_t error = call_in_context<&DriverCalls::IpcOpenMemHandle>(&device, given, flags);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

cudaError_t cudaIpcCloseMemHandle(void* pointer) {
  return call_in_context<&DriverCalls::IpcCloseMemHandle>(address(pointer));
}
}
