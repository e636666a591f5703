// The calling thread's device, and its primary context: retained for the process when a thread
// first needs it, and left alone where the program made another context current.
#pragma once

#include <driver_types.h>

namespace simgpu_cudart {

// Both only after connect() succeeded. They do not remember the error.
cudaError_t ensure_context();
cudaError_t current_device(int* device);

}  // namespace simgpu_cudart
