// The tests' kernels, one source for a real and for the simulated GPU.
#include "simgpu/kernel.h"

struct Span {
  unsigned long long count;
  unsigned* words;
};

GPU_KERNEL fill_words(unsigned* words, unsigned long long count, unsigned seed) {
  GPU_THREADS {
    const unsigned long long stride = gridDim.x * blockDim.x;
    for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
      words[i] = seed + static_cast<unsigned>(i) * 2654435761u;
    }
  }
}

// The same, with the pointer inside a struct.
GPU_KERNEL add_to_span(Span span, unsigned value) {
  GPU_THREADS {
    const unsigned long long stride = gridDim.x * blockDim.x;
    const unsigned long long first = blockIdx.x * blockDim.x + threadIdx.x;
    for (unsigned long long i = first; i < span.count; i += stride) span.words[i] += value;
  }
}

GPU_MODULE(GPU_ENTRY(fill_words), GPU_ENTRY(add_to_span))
