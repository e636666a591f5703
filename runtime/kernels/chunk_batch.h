// What the kernels below are given: plain values that nvcc and the host compiler lay out alike.
#pragma once

#include <stdint.h>

namespace vhbm {

// Chunks of one launch; a grid is hash_parts x count blocks.
struct ChunkBatch {
  static constexpr unsigned most = 64;
  uint64_t from[most];
  uint64_t to[most];  // of copies
};

// Blocks that share a chunk, each with a sum of its own, and threads of a block.
constexpr unsigned hash_parts = 16, hash_threads = 256;

}  // namespace vhbm
