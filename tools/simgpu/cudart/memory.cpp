// Device and host allocations, and what a pointer points at.
#include <cuda_runtime_api.h>

#include <iterator>

#include "call.h"

using namespace simgpu_cudart;

namespace {

// The largest element that an access can be coalesced for: pitches suit all of them.
constexpr unsigned kPitchElement = 16;

cudaMemoryType runtime_type(unsigned type, bool managed) {
  if (managed) return cudaMemoryTypeManaged;
  switch (type) {
    case CU_MEMORYTYPE_HOST:
      return cudaMemoryTypeHost;
    case CU_MEMORYTYPE_DEVICE:
      return cudaMemoryTypeDevice;
    default:
      return cudaMemoryTypeUnregistered;
  }
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** out, size_t size) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  if (size == 0) {  // the driver refuses this, the runtime does not
    *out = nullptr;
    return remember(ready(Needs::context));
  }
  CUdeviceptr device = 0;
  const cudaError_t error = call_in_context<&DriverCalls::MemAlloc>(&device, size);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

cudaError_t cudaMallocPitch(void** out, size_t* pitch, size_t width, size_t height) {
  if (out == nullptr || pitch == nullptr) return remember(cudaErrorInvalidValue);
  if (width == 0 || height == 0) {
    *out = nullptr;
    *pitch = 0;
    return remember(ready(Needs::context));
  }
  CUdeviceptr device = 0;
  const cudaError_t error =
      call_in_context<&DriverCalls::MemAllocPitch>(&device, pitch, width, height, kPitchElement);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

// Of NULL: success, and a way to make the context that many programs use.
cudaError_t cudaFree(void* pointer) {
  if (pointer == nullptr) return remember(ready(Needs::context));
  return call_in_context<&DriverCalls::MemFree>(address(pointer));
}

cudaError_t cudaHostAlloc(void** out, size_t size, unsigned flags) {
  return call_in_context<&DriverCalls::MemHostAlloc>(out, size, flags);
}

cudaError_t cudaMallocHost(void** out, size_t size) {
  return cudaHostAlloc(out, size, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* pointer) {
  if (pointer == nullptr) return remember(ready(Needs::context));
  return call_in_context<&DriverCalls::MemFreeHost>(pointer);
}

cudaError_t cudaHostRegister(void* pointer, size_t size, unsigned flags) {
  return call_in_context<&DriverCalls::MemHostRegister>(pointer, size, flags);
}

cudaError_t cudaHostUnregister(void* pointer) {
  return call_in_context<&DriverCalls::MemHostUnregister>(pointer);
}

cudaError_t cudaHostGetDevicePointer(void** out, void* pointer, unsigned flags) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  CUdeviceptr device = 0;
  const cudaError_t error =
      call_in_context<&DriverCalls::MemHostGetDevicePointer>(&device, pointer, flags);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

cudaError_t cudaHostGetFlags(unsigned* flags, void* pointer) {
  return call_in_context<&DriverCalls::MemHostGetFlags>(flags, pointer);
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  return call_in_context<&DriverCalls::MemGetInfo>(free_bytes, total);
}

// Memory that CUDA does not know is no error: its type says so.
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* pointer) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  CUpointer_attribute wanted[] = {
      CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
      CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
      CU_POINTER_ATTRIBUTE_IS_MANAGED};
  unsigned type = 0, managed = 0;
  int device = cudaInvalidDeviceId;
  CUdeviceptr device_pointer = 0;
  void* host_pointer = nullptr;
  void* values[] = {&type, &device, &device_pointer, &host_pointer, &managed};
  const cudaError_t error = call_in_context<&DriverCalls::PointerGetAttributes>(
      static_cast<unsigned>(std::size(wanted)), &wanted[0], &values[0], address(pointer));
  if (error != cudaSuccess) return error;
  cudaPointerAttributes attributes{};
  attributes.type = runtime_type(type, managed != 0);
  const bool known = attributes.type != cudaMemoryTypeUnregistered;
  attributes.device = known ? device : cudaInvalidDeviceId;
  attributes.devicePointer = reinterpret_cast<void*>(device_pointer);
  attributes.hostPointer = known ? host_pointer : const_cast<void*>(pointer);
  *out = attributes;
  return cudaSuccess;
}
}
