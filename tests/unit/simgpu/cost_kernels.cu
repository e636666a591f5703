// Kernels that say what they read and write, and one that waits for the host.
#include "simgpu/kernel.h"

GPU_KERNEL traffic(const char* read, size_t read_bytes, char* written, size_t written_bytes) {
  if (blockIdx.x != 0) return;
  gpu::reads(read, read_bytes);
  gpu::writes(written, written_bytes);
}

// A part each block, as kernels over an array declare it.
GPU_KERNEL traffic_by_blocks(const char* read, size_t bytes_a_block) {
  gpu::reads(read + blockIdx.x * bytes_a_block, bytes_a_block);
}

GPU_KERNEL wait_for(const int* flag) {
  while (gpu::load(flag) == 0) gpu::yield();
}

GPU_MODULE(GPU_ENTRY(traffic), GPU_ENTRY(traffic_by_blocks), GPU_ENTRY(wait_for))
