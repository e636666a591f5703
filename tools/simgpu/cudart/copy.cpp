// Copies and memory sets. Compiled twice: see call_on_stream.h.
#include "call_on_stream.h"

namespace {

bool is_direction(cudaMemcpyKind kind) {
  return kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault;
}

// The driver's memory type of one end; addresses are unified, so DEFAULT leaves it to the driver.
CUmemorytype source_type(cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return CU_MEMORYTYPE_UNIFIED;
  const bool host = kind == cudaMemcpyHostToHost || kind == cudaMemcpyHostToDevice;
  return host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}
CUmemorytype target_type(cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return CU_MEMORYTYPE_UNIFIED;
  const bool host = kind == cudaMemcpyHostToHost || kind == cudaMemcpyDeviceToHost;
  return host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}

CUDA_MEMCPY2D rows(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                   size_t height, cudaMemcpyKind kind) {
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = source_type(kind);
  copy.srcHost = from;
  copy.srcDevice = address(from);
  copy.srcPitch = from_pitch;
  copy.dstMemoryType = target_type(kind);
  copy.dstHost = to;
  copy.dstDevice = address(to);
  copy.dstPitch = to_pitch;
  copy.WidthInBytes = width;
  copy.Height = height;
  return copy;
}

// What is wrong with a copy of rows; cudaSuccess if nothing is.
cudaError_t check_rows(size_t to_pitch, size_t from_pitch, size_t width, cudaMemcpyKind kind) {
  if (!is_direction(kind)) return cudaErrorInvalidMemcpyDirection;
  return width > to_pitch || width > from_pitch ? cudaErrorInvalidPitchValue : cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  if (!is_direction(kind)) return remember(cudaErrorInvalidMemcpyDirection);
  if (size == 0) return remember(ready(Needs::context));
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return call_on_stream<&DriverCalls::MemcpyHtoD>(address(to), from, size);
    case cudaMemcpyDeviceToHost:
      return call_on_stream<&DriverCalls::MemcpyDtoH>(to, address(from), size);
    case cudaMemcpyDeviceToDevice:
      return call_on_stream<&DriverCalls::MemcpyDtoD>(address(to), address(from), size);
    default:
      return call_on_stream<&DriverCalls::Memcpy>(address(to), address(from), size);
  }
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (!is_direction(kind)) return remember(cudaErrorInvalidMemcpyDirection);
  if (size == 0) return remember(ready(Needs::context));
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return call_on_stream<&DriverCalls::MemcpyHtoDAsync>(address(to), from, size, stream);
    case cudaMemcpyDeviceToHost:
      return call_on_stream<&DriverCalls::MemcpyDtoHAsync>(to, address(from), size, stream);
    case cudaMemcpyDeviceToDevice:
      return call_on_stream<&DriverCalls::MemcpyDtoDAsync>(address(to), address(from), size,
                                                           stream);
    default:
      return call_on_stream<&DriverCalls::MemcpyAsync>(address(to), address(from), size, stream);
  }
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
  const cudaError_t error = check_rows(to_pitch, from_pitch, width, kind);
  if (error != cudaSuccess) return remember(error);
  if (width == 0 || height == 0) return remember(ready(Needs::context));
  const CUDA_MEMCPY2D copy = rows(to, to_pitch, from, from_pitch, width, height, kind);
  return call_on_stream<&DriverCalls::Memcpy2DUnaligned>(&copy);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  const cudaError_t error = check_rows(to_pitch, from_pitch, width, kind);
  if (error != cudaSuccess) return remember(error);
  if (width == 0 || height == 0) return remember(ready(Needs::context));
  const CUDA_MEMCPY2D copy = rows(to, to_pitch, from, from_pitch, width, height, kind);
  return call_on_stream<&DriverCalls::Memcpy2DAsync>(&copy, stream);
}

cudaError_t cudaMemset(void* to, int value, size_t size) {
  return call_on_stream<&DriverCalls::MemsetD8>(address(to), static_cast<unsigned char>(value),
                                                size);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream) {
  return call_on_stream<&DriverCalls::MemsetD8Async>(address(to), static_cast<unsigned char>(value),
                                                     size, stream);
}

cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return call_on_stream<&DriverCalls::MemsetD2D8>(address(to), pitch,
                                                  static_cast<unsigned char>(value), width, height);
}

cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  return call_on_stream<&DriverCalls::MemsetD2D8Async>(
      address(to), pitch, static_cast<unsigned char>(value), width, height, stream);
}
}
