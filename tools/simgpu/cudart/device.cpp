// What there is: versions, devices and their properties, and the driver's own functions by name.
#include <cuda_runtime_api.h>

#include <cstring>

#include "call.h"

using namespace simgpu_cudart;

namespace {

// The runtime's structure and the driver's attributes, side by side. Fields without an attribute,
// or that not every CUDA version since 12.4 has, stay 0.
struct PropertyRow {
  void (*set)(cudaDeviceProp* properties, int value);
  CUdevice_attribute attribute;
};
#define PROPERTY(field, attribute)                                             \
  {                                                                            \
    [](cudaDeviceProp* properties, int value) {                                \
      properties->field = static_cast<decltype(properties->field + 0)>(value); \
    },                                                                         \
        CU_DEVICE_ATTRIBUTE_##attribute                                        \
  }
constexpr PropertyRow kProperties[] = {
    PROPERTY(sharedMemPerBlock, MAX_SHARED_MEMORY_PER_BLOCK),
    PROPERTY(sharedMemPerBlockOptin, MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
    PROPERTY(sharedMemPerMultiprocessor, MAX_SHARED_MEMORY_PER_MULTIPROCESSOR),
    PROPERTY(reservedSharedMemPerBlock, RESERVED_SHARED_MEMORY_PER_BLOCK),
    PROPERTY(regsPerBlock, MAX_REGISTERS_PER_BLOCK),
    PROPERTY(regsPerMultiprocessor, MAX_REGISTERS_PER_MULTIPROCESSOR),
    PROPERTY(warpSize, WARP_SIZE),
    PROPERTY(memPitch, MAX_PITCH),
    PROPERTY(maxThreadsPerBlock, MAX_THREADS_PER_BLOCK),
    PROPERTY(maxThreadsPerMultiProcessor, MAX_THREADS_PER_MULTIPROCESSOR),
    PROPERTY(maxBlocksPerMultiProcessor, MAX_BLOCKS_PER_MULTIPROCESSOR),
    PROPERTY(maxThreadsDim[0], MAX_BLOCK_DIM_X),
    PROPERTY(maxThreadsDim[1], MAX_BLOCK_DIM_Y),
    PROPERTY(maxThreadsDim[2], MAX_BLOCK_DIM_Z),
    PROPERTY(maxGridSize[0], MAX_GRID_DIM_X),
    PROPERTY(maxGridSize[1], MAX_GRID_DIM_Y),
    PROPERTY(maxGridSize[2], MAX_GRID_DIM_Z),
    PROPERTY(totalConstMem, TOTAL_CONSTANT_MEMORY),
    PROPERTY(major, COMPUTE_CAPABILITY_MAJOR),
    PROPERTY(minor, COMPUTE_CAPABILITY_MINOR),
    PROPERTY(textureAlignment, TEXTURE_ALIGNMENT),
    PROPERTY(texturePitchAlignment, TEXTURE_PITCH_ALIGNMENT),
    PROPERTY(multiProcessorCount, MULTIPROCESSOR_COUNT),
    PROPERTY(integrated, INTEGRATED),
    PROPERTY(canMapHostMemory, CAN_MAP_HOST_MEMORY),
    PROPERTY(concurrentKernels, CONCURRENT_KERNELS),
    PROPERTY(ECCEnabled, ECC_ENABLED),
    PROPERTY(pciBusID, PCI_BUS_ID),
    PROPERTY(pciDeviceID, PCI_DEVICE_ID),
    PROPERTY(pciDomainID, PCI_DOMAIN_ID),
    PROPERTY(asyncEngineCount, ASYNC_ENGINE_COUNT),
    PROPERTY(unifiedAddressing, UNIFIED_ADDRESSING),
    PROPERTY(memoryBusWidth, GLOBAL_MEMORY_BUS_WIDTH),
    PROPERTY(l2CacheSize, L2_CACHE_SIZE),
    PROPERTY(streamPrioritiesSupported, STREAM_PRIORITIES_SUPPORTED),
    PROPERTY(managedMemory, MANAGED_MEMORY),
    PROPERTY(hostNativeAtomicSupported, HOST_NATIVE_ATOMIC_SUPPORTED),
    PROPERTY(pageableMemoryAccess, PAGEABLE_MEMORY_ACCESS),
    PROPERTY(concurrentManagedAccess, CONCURRENT_MANAGED_ACCESS),
    PROPERTY(computePreemptionSupported, COMPUTE_PREEMPTION_SUPPORTED),
    PROPERTY(canUseHostPointerForRegisteredMem, CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM),
    PROPERTY(cooperativeLaunch, COOPERATIVE_LAUNCH),
    PROPERTY(hostRegisterSupported, HOST_REGISTER_SUPPORTED),
    PROPERTY(memoryPoolsSupported, MEMORY_POOLS_SUPPORTED),
    PROPERTY(gpuDirectRDMASupported, GPU_DIRECT_RDMA_SUPPORTED),
    PROPERTY(clusterLaunch, CLUSTER_LAUNCH),
};
#undef PROPERTY

cudaError_t properties_of(CUdevice device, cudaDeviceProp* out) {
  const DriverCalls& calls = driver(DefaultStream::legacy);
  cudaDeviceProp properties{};
  CUuuid uuid{};
  CUresult result = calls.DeviceGetName(properties.name, sizeof properties.name, device);
  if (result == CUDA_SUCCESS) result = calls.DeviceTotalMem(&properties.totalGlobalMem, device);
  if (result == CUDA_SUCCESS) result = calls.DeviceGetUuid(&uuid, device);
  std::memcpy(&properties.uuid, &uuid, sizeof uuid);
  for (const PropertyRow& row : kProperties) {
    int value = 0;
    if (result == CUDA_SUCCESS) result = calls.DeviceGetAttribute(&value, row.attribute, device);
    row.set(&properties, value);
  }
  if (result == CUDA_SUCCESS) *out = properties;
  return as_runtime_error(result);
}

}  // namespace

extern "C" {

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) return remember(cudaErrorInvalidValue);
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// Success with 0 where there is no driver.
cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) return remember(cudaErrorInvalidValue);
  *version = 0;
  if (connect() == cudaErrorInsufficientDriver) return cudaSuccess;
  return call_driver<&DriverCalls::DriverGetVersion>(version);
}

cudaError_t cudaGetDeviceCount(int* count) {
  if (count == nullptr) return remember(cudaErrorInvalidValue);
  *count = 0;
  return call_driver<&DriverCalls::DeviceGetCount>(count);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (properties == nullptr) return remember(cudaErrorInvalidValue);
  CUdevice handle = 0;
  const cudaError_t error = call_driver<&DriverCalls::DeviceGet>(&handle, device);
  return error != cudaSuccess ? error : remember(properties_of(handle, properties));
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  CUdevice handle = 0;
  const cudaError_t error = call_driver<&DriverCalls::DeviceGet>(&handle, device);
  if (error != cudaSuccess) return error;
  return call_driver<&DriverCalls::DeviceGetAttribute>(
      value, static_cast<CUdevice_attribute>(attribute), handle);
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  CUdevice handle = 0;
  const cudaError_t error = call_driver<&DriverCalls::DeviceGet>(&handle, device);
  if (error != cudaSuccess) return error;
  return call_driver<&DriverCalls::DeviceGetPCIBusId>(text, length, handle);
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return call_driver<&DriverCalls::DeviceCanAccessPeer>(can, device, peer);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return call_in_context<&DriverCalls::CtxGetStreamPriorityRange>(least, greatest);
}
}
