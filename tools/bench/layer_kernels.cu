// A layer whose weights are read once, as in decoding. A word of each line of 128 bytes is enough for
// every line to come to a GPU's processors; the simulated one is told what is read.
#include "simgpu/kernel.h"

GPU_KERNEL read_layer(const unsigned long long* weights, unsigned long long words,
                      unsigned long long stride, unsigned long long* sum) {
  if (blockIdx.x == 0) gpu::reads(weights, words * sizeof *weights);
  GPU_THREADS {
    const unsigned long long all = stride * gridDim.x * blockDim.x;
    unsigned long long mine = 0;
    for (unsigned long long at = stride * (1ull * blockIdx.x * blockDim.x + threadIdx.x);
         at < words; at += all) {
      mine += weights[at];
    }
    gpu::atomic_add(sum, mine);
  }
}

GPU_MODULE(GPU_ENTRY(read_layer))
