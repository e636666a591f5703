// What the conformance tests run on the GPU.
#include "simgpu/kernel.h"

GPU_KERNEL fill(unsigned* words, unsigned value, unsigned count) {
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) words[i] = value;
  }
}

GPU_KERNEL add_one(unsigned* words, unsigned count) {
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) words[i] += 1;
  }
}

GPU_KERNEL copy_words(unsigned* to, const unsigned* from, unsigned count) {
  GPU_THREADS {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) to[i] = from[i];
  }
}

// Keeps the GPU busy until the flag is set; the flag is in page-locked host memory.
GPU_KERNEL wait_for_flag(const unsigned* flag) {
  GPU_THREADS {
    while (gpu::load(flag) == 0) gpu::yield();
  }
}

GPU_KERNEL count_threads(unsigned* total) {
  GPU_THREADS { gpu::atomic_add(total, 1u); }
}

// The sum of a block's 256 values, by a tree in shared memory.
GPU_KERNEL block_sum(unsigned* sum, const unsigned* values) {
  GPU_SHARED unsigned partial[256];
  GPU_THREADS { partial[threadIdx.x] = values[threadIdx.x]; }
  for (unsigned half = 128; half > 0; half /= 2) {
    GPU_BARRIER();
    GPU_THREADS {
      if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    }
  }
  GPU_BARRIER();
  GPU_THREADS {
    if (threadIdx.x == 0) *sum = partial[0];
  }
}

// Reverses 64 values through shared memory sized by the launch.
GPU_KERNEL reverse(unsigned* values) {
  GPU_DYNAMIC_SHARED(unsigned, buffer);
  GPU_THREADS { buffer[threadIdx.x] = values[threadIdx.x]; }
  GPU_BARRIER();
  GPU_THREADS { values[threadIdx.x] = buffer[63 - threadIdx.x]; }
}

struct Pair {
  unsigned long long address;
  unsigned value;
};

GPU_KERNEL store_pair(char tag, Pair pair, double factor) {
  GPU_THREADS {
    *reinterpret_cast<unsigned*>(pair.address) =
        pair.value + static_cast<unsigned>(tag) + static_cast<unsigned>(factor);
  }
}

GPU_GLOBAL unsigned module_counter = 41;

GPU_KERNEL bump_counter() {
  GPU_THREADS { module_counter += 1; }
}

// Counts down, and sets the condition as long as something is left. A real GPU's compiler would have
// to link the device runtime for it.
GPU_KERNEL count_down([[maybe_unused]] unsigned long long handle, unsigned* left) {
  GPU_THREADS {
    *left -= 1;
#ifndef __CUDACC__
    gpu::set_conditional(handle, *left);
#endif
  }
}

GPU_GLOBALS(GPU_VARIABLE(module_counter))
GPU_MODULE(GPU_ENTRY(fill), GPU_ENTRY(add_one), GPU_ENTRY(copy_words), GPU_ENTRY(wait_for_flag),
           GPU_ENTRY(count_threads), GPU_ENTRY(block_sum), GPU_ENTRY(reverse), GPU_ENTRY(store_pair),
           GPU_ENTRY(bump_counter), GPU_ENTRY(count_down))
