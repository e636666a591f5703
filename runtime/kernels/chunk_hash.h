// The hash by which two copies of a chunk are told apart: 128 bits, the same on a GPU and a CPU. A
// sum over the words, each mixed with its place, so that any number of threads may add in any
// order. Not for adversaries: who can forge it can write the memory anyway.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define VHBM_EVERYWHERE __host__ __device__ __forceinline__
#else
#define VHBM_EVERYWHERE inline
#endif

namespace vhbm {

struct Hash {
  uint64_t low = 0, high = 0;

  friend VHBM_EVERYWHERE bool operator==(const Hash& a, const Hash& b) {
    return a.low == b.low && a.high == b.high;
  }
};

struct alignas(16) Word {
  uint64_t low, high;
};

// A bijection in which every bit of the result depends on every bit of `x` (David Stafford, "Better
// Bit Mixing", variant 13).
VHBM_EVERYWHERE uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Adds the word at `index` of its chunk. What is added determines the word: two chunks that differ
// in one word always differ in their hash.
VHBM_EVERYWHERE void add_word(Hash& hash, Word word, uint64_t index) {
  const uint64_t a = mixed(word.low + (index + 1) * 0x9e3779b97f4a7c15ull);
  const uint64_t b = mixed(word.high ^ a);
  hash.low += a ^ ((b << 32 | b >> 32) * 0xd6e8feb86659fd93ull);
  hash.high += b;
}

}  // namespace vhbm
