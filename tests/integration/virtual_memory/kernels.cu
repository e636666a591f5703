// What the programs compute with their memory: every word depends on what it was, so that a byte
// that was lost once shows for ever.
#include "simgpu/kernel.h"

GPU_KERNEL mix(unsigned* words, unsigned long long count, unsigned seed) {
  GPU_THREADS {
    const unsigned long long stride = gridDim.x * blockDim.x;
    for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
      words[i] = words[i] * 747796405u + (static_cast<unsigned>(i) ^ seed);
    }
  }
}

GPU_MODULE(GPU_ENTRY(mix))
