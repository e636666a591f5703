// The calling thread's last error, which every runtime function leaves behind.
#pragma once

#include <driver_types.h>

namespace simgpu_cudart {

// Hands the error through; success leaves what was there.
cudaError_t remember(cudaError_t error);

// For cudaDeviceReset, the one call that ends also a sticky error.
void forget_error();

}  // namespace simgpu_cudart
