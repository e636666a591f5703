// What the pager runs on the GPU itself. Each block adds up the hash of its part of one chunk and
// leaves it at sums[chunk][part], where the host reads it: no atomics, so it may lie in host
// memory.
#include "simgpu/kernel.h"

#include "chunk_batch.h"
#include "chunk_hash.h"

using vhbm::add_word;
using vhbm::ChunkBatch;
using vhbm::Hash;
using vhbm::hash_parts;
using vhbm::hash_threads;
using vhbm::Word;

// One read, since other kernels may be writing there: the word hashed shall be the word copied.
GPU_FUNCTION Word read_once(const Word* where) {
#ifdef __CUDACC__
  const ulonglong2 word = __ldcg(reinterpret_cast<const ulonglong2*>(where));
  return {word.x, word.y};
#else
  return {gpu::load(&where->low), gpu::load(&where->high)};
#endif
}

template <bool copies>
GPU_FUNCTION void hash_part(const ChunkBatch& batch, uint64_t words, Hash* sums) {
  GPU_SHARED uint64_t low[hash_threads], high[hash_threads];
  const Word* const from = reinterpret_cast<const Word*>(batch.from[blockIdx.y]);
  Word* const to = reinterpret_cast<Word*>(batch.to[blockIdx.y]);
  const uint64_t each = (words + hash_parts - 1) / hash_parts;
  const uint64_t begin = blockIdx.x * each;
  const uint64_t end = begin + each < words ? begin + each : words;
  GPU_THREADS {
    Hash sum;
    for (uint64_t i = begin + threadIdx.x; i < end; i += hash_threads) {
      const Word word = read_once(from + i);
      if (copies) to[i] = word;
      add_word(sum, word, i);
    }
    low[threadIdx.x] = sum.low;
    high[threadIdx.x] = sum.high;
  }
  GPU_BARRIER();
  GPU_THREADS {
    if (threadIdx.x != 0) continue;
    Hash sum;
    for (unsigned i = 0; i < hash_threads; ++i) {
      sum.low += low[i];
      sum.high += high[i];
    }
    sums[blockIdx.y * hash_parts + blockIdx.x] = sum;
  }
}

GPU_KERNEL hash_chunks(ChunkBatch batch, uint64_t words, Hash* sums) {
  hash_part<false>(batch, words, sums);
}

// The hash is that of exactly the bytes that arrive, whoever writes `from` meanwhile.
GPU_KERNEL copy_chunks(ChunkBatch batch, uint64_t words, Hash* sums) {
  hash_part<true>(batch, words, sums);
}

GPU_MODULE(GPU_ENTRY(hash_chunks), GPU_ENTRY(copy_chunks))
