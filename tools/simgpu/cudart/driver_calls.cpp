#include "driver_calls.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

namespace simgpu_cudart {
namespace {

static_assert(int{cudaErrorMemoryAllocation} == int{CUDA_ERROR_OUT_OF_MEMORY} &&
              int{cudaErrorInvalidResourceHandle} == int{CUDA_ERROR_INVALID_HANDLE} &&
              int{cudaErrorIllegalAddress} == int{CUDA_ERROR_ILLEGAL_ADDRESS} &&
              int{cudaErrorStreamCaptureWrongThread} ==
                  int{CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD});

struct Connection {
  Connection() : state(open()) {}

  cudaError_t open();
  cudaError_t ask_for_everything();
  template <typename Function>
  cudaError_t ask(const char* name, int version, cuuint64_t flags, Function* out);

  DriverCalls legacy, per_thread;
  cudaError_t state;
};

template <typename Function>
cudaError_t Connection::ask(const char* name, int version, cuuint64_t flags, Function* out) {
  void* address = nullptr;
  const CUresult result = legacy.GetProcAddress(name, &address, version, flags, nullptr);
  if (result == CUDA_ERROR_STUB_LIBRARY) return cudaErrorStubLibrary;
  *out = result == CUDA_SUCCESS ? reinterpret_cast<Function>(address) : nullptr;
  return cudaSuccess;
}

cudaError_t Connection::ask_for_everything() {
  constexpr cuuint64_t legacy_flag = CU_GET_PROC_ADDRESS_DEFAULT;
  constexpr cuuint64_t per_thread_flag = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
  cudaError_t error = cudaSuccess;
#define DRIVER(name, version)                                                            \
  if (error == cudaSuccess) error = ask("cu" #name, version, legacy_flag, &legacy.name); \
  per_thread.name = legacy.name;
#define STREAM_DRIVER(name, version, per_thread_version) \
  DRIVER(name, version)                                  \
  if (error == cudaSuccess)                              \
    error = ask("cu" #name, per_thread_version, per_thread_flag, &per_thread.name);
#include "driver.def"
#undef STREAM_DRIVER
#undef DRIVER
  return error;
}

cudaError_t Connection::open() {
  // Never closed: work may run until the process ends.
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) return cudaErrorInsufficientDriver;
  legacy.GetProcAddress =
      reinterpret_cast<PFN_cuGetProcAddress_v12000>(dlsym(library, "cuGetProcAddress_v2"));
  if (legacy.GetProcAddress == nullptr) return cudaErrorInsufficientDriver;
  if (cudaError_t error = ask_for_everything(); error != cudaSuccess) return error;
  int version = 0;
  if (legacy.GetProcAddress == nullptr || legacy.Init == nullptr ||
      legacy.DriverGetVersion == nullptr || legacy.DriverGetVersion(&version) != CUDA_SUCCESS ||
      version / 1000 < CUDART_VERSION / 1000) {
    return cudaErrorInsufficientDriver;
  }
  return as_runtime_error(legacy.Init(0));
}

const Connection& connection() {
  static const Connection instance;
  return instance;
}

}  // namespace

cudaError_t connect() {
  return connection().state;
}

const DriverCalls& driver(DefaultStream stream) {
  return stream == DefaultStream::legacy ? connection().legacy : connection().per_thread;
}

}  // namespace simgpu_cudart
