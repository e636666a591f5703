// The samples' kernels, one source for a real and for the simulated GPU.
#include "simgpu/kernel.h"

GPU_KERNEL vector_add(float* out, const float* a, const float* b, int n) {
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < static_cast<unsigned>(n)) out[i] = a[i] + b[i];
  }
}

// Sums n values: a tree in shared memory, then one atomic add a block. blockDim.x is 256.
GPU_KERNEL reduce_sum(unsigned long long* sum, const unsigned* values, int n) {
  GPU_SHARED unsigned long long partial[256];
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    partial[threadIdx.x] = i < static_cast<unsigned>(n) ? values[i] : 0;
  }
  for (unsigned half = 128; half > 0; half /= 2) {
    GPU_BARRIER();
    GPU_THREADS {
      if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    }
  }
  GPU_BARRIER();
  GPU_THREADS {
    if (threadIdx.x == 0) gpu::atomic_add(sum, partial[0]);
  }
}

GPU_MODULE(GPU_ENTRY(vector_add), GPU_ENTRY(reduce_sum))
