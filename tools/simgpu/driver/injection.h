// A profiler's library in the process: CUPTI's documented way in, the variable
// CUDA_INJECTION64_PATH.
#pragma once

namespace simgpu {

// Loads it and calls its InitializeInjection, once a process. Without the machine's lock: the
// library may call anything, cuInit too.
void inject();

}  // namespace simgpu
