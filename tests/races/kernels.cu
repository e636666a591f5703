// The kernels that race: a few words by many small blocks, so that the fuzzer has places to wait
// between the accesses of one kernel.
#include "simgpu/kernel.h"

GPU_KERNEL read_words(unsigned* out, const unsigned* in, unsigned stride) {
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = in[i * stride];
  }
}

GPU_KERNEL write_words(unsigned* out, unsigned value, unsigned stride) {
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i * stride] = value;
  }
}

GPU_MODULE(GPU_ENTRY(read_words), GPU_ENTRY(write_words))
