// What the stress does to memory on the GPU, one source for a real and for the simulated one.
#include "simgpu/kernel.h"
#include "words.h"

// The indices of this thread's words: the grid strides over all of them.
#define FOR_EACH_WORD(i, count)                                                   \
  for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < (count); \
       i += static_cast<unsigned long long>(gridDim.x) * blockDim.x)

GPU_KERNEL fill(unsigned* words, unsigned long long count, unsigned seed) {
  GPU_THREADS {
    FOR_EACH_WORD(i, count) {
      words[i] = word_of(i, seed);
    }
  }
}

GPU_KERNEL add(unsigned* words, unsigned long long count, unsigned value) {
  GPU_THREADS {
    FOR_EACH_WORD(i, count) words[i] += value;
  }
}

// No argument names the words: their address lies in device memory.
GPU_KERNEL hidden_add(unsigned* const* addresses, unsigned slot, unsigned long long first,
                      unsigned long long count, unsigned value) {
  GPU_THREADS {
    unsigned* words = addresses[slot] + first;
    FOR_EACH_WORD(i, count) words[i] += value;
  }
}

// Writes for a long time: every write builds on the one before, so that none may get lost.
GPU_KERNEL linger(unsigned* const* addresses, unsigned slot, unsigned long long first,
                  unsigned long long count, unsigned value, unsigned rounds) {
  GPU_THREADS {
    unsigned* words = addresses[slot] + first;
    for (unsigned round = 0; round < rounds; ++round) {
      for (unsigned long long i = 0; i < count; i += linger_stride) words[i] += value;
      gpu::yield();
    }
  }
}

GPU_KERNEL sum(const unsigned* words, unsigned long long count, unsigned long long* result) {
  GPU_THREADS {
    unsigned long long mine = 0;
    FOR_EACH_WORD(i, count) {
      mine += weighted(i, words[i]);
    }
    gpu::atomic_add(result, mine);
  }
}

// Tells another process that it is here, and waits for that one, as collectives do.
GPU_KERNEL meet(unsigned* mine, const unsigned* theirs, unsigned value) {
  GPU_THREADS {
    gpu::store(mine, value);
    while (gpu::load(theirs) < value) gpu::yield();
  }
}

GPU_MODULE(GPU_ENTRY(fill), GPU_ENTRY(add), GPU_ENTRY(hidden_add), GPU_ENTRY(linger),
           GPU_ENTRY(sum), GPU_ENTRY(meet))
