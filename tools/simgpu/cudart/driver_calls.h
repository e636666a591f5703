// The runtime's way to the driver, which is NVIDIA's: libcuda.so.1 is opened, cuGetProcAddress_v2
// looked up in it, asked for cuGetProcAddress itself, and that answer asked for everything else by
// name, lowest version and default-stream flag. So whoever interposes any of these steps is met as
// by the real runtime.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <driver_types.h>

namespace simgpu_cudart {

// What NULL means as a stream: the two variants of each runtime function that takes one.
enum class DefaultStream { legacy, per_thread };

// An entry is null when the driver does not have it.
struct DriverCalls {
#define DRIVER(name, version) PFN_cu##name##_v##version name = nullptr;
#define STREAM_DRIVER(name, version, per_thread_version) DRIVER(name, version)
#include "driver.def"
#undef STREAM_DRIVER
#undef DRIVER
};

// Connects and initialises the driver at the first call, from whichever thread; never again.
//   cudaErrorInsufficientDriver   there is no libcuda.so.1, or it is too old
//   others                        what cuInit answered
cudaError_t connect();

// Only after connect() succeeded.
const DriverCalls& driver(DefaultStream stream);

inline cudaError_t as_runtime_error(CUresult result) {
  return static_cast<cudaError_t>(result);  // one numbering, since CUDA 10.1
}

}  // namespace simgpu_cudart
