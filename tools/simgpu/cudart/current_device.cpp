#include "current_device.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <map>
#include <mutex>

#include "call.h"

namespace simgpu_cudart {
namespace {

std::mutex mutex;                        // guards primaries
std::map<int, CUcontext> primaries;      // retained, by device
std::atomic<unsigned> device_resets{0};  // a context bound before the last one may be gone

struct ThisThread {
  int device = 0;
  CUcontext bound = nullptr;  // the primary context that ensure_context() made current
  unsigned resets = 0;        // as counted then
};
thread_local ThisThread this_thread;

const DriverCalls& calls() {
  return driver(DefaultStream::legacy);
}

cudaError_t bind_primary(int device) {
  std::lock_guard lock(mutex);
  CUcontext& primary = primaries[device];
  if (primary == nullptr) {
    CUdevice handle = 0;
    CUresult result = calls().DeviceGet(&handle, device);
    if (result == CUDA_SUCCESS) result = calls().DevicePrimaryCtxRetain(&primary, handle);
    if (result != CUDA_SUCCESS) {
      primaries.erase(device);
      return as_runtime_error(result);
    }
  }
  this_thread = {device, primary, device_resets.load()};
  return as_runtime_error(calls().CtxSetCurrent(primary));
}

cudaError_t reset_device() {
  int device = 0;
  if (cudaError_t error = current_device(&device); error != cudaSuccess) return error;
  CUresult result = CUDA_SUCCESS;
  {
    std::lock_guard lock(mutex);
    CUdevice handle = 0;
    const auto primary = primaries.find(device);
    if (primary == primaries.end()) return cudaSuccess;
    result = calls().DeviceGet(&handle, device);
    if (result == CUDA_SUCCESS) result = calls().DevicePrimaryCtxReset(handle);
    if (result == CUDA_SUCCESS) result = calls().DevicePrimaryCtxRelease(handle);
    primaries.erase(primary);
    ++device_resets;
  }
  if (result == CUDA_SUCCESS) result = calls().CtxSetCurrent(nullptr);
  forget_error();
  return as_runtime_error(result);
}

}  // namespace

cudaError_t ensure_context() {
  CUcontext current = nullptr;
  const CUresult result = calls().CtxGetCurrent(&current);
  if (result != CUDA_SUCCESS) return as_runtime_error(result);
  const bool outdated = current == this_thread.bound && this_thread.resets != device_resets.load();
  return current != nullptr && !outdated ? cudaSuccess : bind_primary(this_thread.device);
}

cudaError_t current_device(int* device) {
  CUcontext current = nullptr;
  const CUresult result = calls().CtxGetCurrent(&current);
  if (result != CUDA_SUCCESS) return as_runtime_error(result);
  CUdevice of_context = 0;
  const bool known = current != nullptr && calls().CtxGetDevice(&of_context) == CUDA_SUCCESS;
  *device = known ? of_context : this_thread.device;
  return cudaSuccess;
}

}  // namespace simgpu_cudart

using namespace simgpu_cudart;

extern "C" {

cudaError_t cudaSetDevice(int device) {
  if (cudaError_t error = connect(); error != cudaSuccess) return remember(error);
  return remember(bind_primary(device));
}

cudaError_t cudaGetDevice(int* device) {
  if (device == nullptr) return remember(cudaErrorInvalidValue);
  if (cudaError_t error = connect(); error != cudaSuccess) return remember(error);
  return remember(current_device(device));
}

cudaError_t cudaDeviceSynchronize() {
  return call_in_context<&DriverCalls::CtxSynchronize>();
}

cudaError_t cudaDeviceReset() {
  if (cudaError_t error = connect(); error != cudaSuccess) return remember(error);
  return remember(reset_device());
}
}
