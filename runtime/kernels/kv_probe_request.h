// What the probe of block tables is given: plain values that nvcc and the host compiler lay out
// alike.
#pragma once

#include <stdint.h>

namespace vhbm {

// Of one cache, in page-locked memory: written by the kernel but for `wanted`, which the pager sets
// to 1 when it wants a look, and the kernel to 0 when it has taken one.
struct KvWords {
  uint32_t wanted;
  uint32_t looks;    // taken
  uint32_t entries;  // block numbers of these in all, wrapping around
  uint32_t strays;   // entries that name no block of the region, wrapping around
};

// One cache of the kernel that is about to run.
struct KvCache {
  uint64_t first;   // bytes from the region's begin to block 0
  uint64_t bytes;   // of a block
  uint64_t stride;  // from a block to the next
  uint64_t blocks;  // that lie in the region whole
  uint64_t words;   // KvWords
  uint64_t marks;   // a byte for each granule of the region, of which the kernel makes 1s
  uint64_t shift;   // a granule is 1 << shift bytes
};

// Memory that is there as long as *word == stamp.
struct KvGuard {
  uint64_t word;
  uint64_t stamp;
};

struct KvProbeRequest {
  static constexpr unsigned most_caches = 2, most_guards = 6;

  KvCache cache[most_caches];
  KvGuard guard[most_guards];
  // Device memory, 0 where there is none, with as many entries as may be read of each.
  uint64_t table, table_entries;
  uint64_t lengths, length_entries;
  uint64_t lines, line_entries;
  uint64_t count_at;
  uint64_t table_stride;
  uint64_t sequences;
  uint64_t block_tokens;
  uint32_t caches, guards;
  uint32_t form;         // KvForm
  uint32_t lengths_are;  // KvLengths
  uint32_t table_wide;   // 1: entries of 8 bytes
  uint32_t length_wide;
};

// One block: that it ran to its end is known from a single word, and it takes one multiprocessor.
constexpr unsigned kv_probe_threads = 256;
// Neither reads nor marks a thread more than so many times, whatever a table says.
constexpr unsigned kv_probe_budget = 8192;
constexpr uint64_t kv_most_sequences = 65536;

}  // namespace vhbm
