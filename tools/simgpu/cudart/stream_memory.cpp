// Allocations in the order of a stream. Compiled twice: see call_on_stream.h.
#include "call_on_stream.h"

extern "C" {

cudaError_t cudaMallocAsync(void** out, size_t size, cudaStream_t stream) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  CUdeviceptr device = 0;
  const cudaError_t error = call_on_stream<&DriverCalls::MemAllocAsync>(&device, size, stream);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

cudaError_t cudaMallocFromPoolAsync(void** out, size_t size, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  CUdeviceptr device = 0;
  const cudaError_t error =
      call_on_stream<&DriverCalls::MemAllocFromPoolAsync>(&device, size, pool, stream);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  return call_on_stream<&DriverCalls::MemFreeAsync>(address(pointer), stream);
}
}
