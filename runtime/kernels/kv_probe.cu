// Which blocks of KV the kernel that comes next in the stream will use: read from its own block
// table and lengths, and marked in page-locked memory, where the pager finds them. Everything read
// is bounded by the memory that it was found to lie in, and what names no block of a region is
// counted and left alone.
#include "simgpu/kernel.h"

#include "kv_probe_request.h"

using namespace vhbm;

// As KvForm and KvLengths have them; what is left is a table, and a last position.
constexpr uint32_t form_slots = 1, form_pages = 2, form_contiguous = 3;
constexpr uint32_t only_one = 2;
constexpr unsigned lanes = 32;  // that share a sequence

// Signed, and so large where it is negative.
GPU_FUNCTION uint64_t entry(uint64_t array, uint64_t index, uint32_t wide) {
  if (wide != 0) return gpu::load(reinterpret_cast<const uint64_t*>(array) + index);
  return static_cast<uint64_t>(
      static_cast<int64_t>(gpu::load(reinterpret_cast<const int32_t*>(array) + index)));
}

GPU_FUNCTION bool negative(uint64_t value) {
  return static_cast<int64_t>(value) < 0;
}

GPU_FUNCTION void make_mark(uint64_t marks, uint64_t granule) {
  uint8_t* const mark = reinterpret_cast<uint8_t*>(marks) + granule;
#ifdef __CUDACC__
  *mark = 1;
#else
  __atomic_store_n(mark, 1, __ATOMIC_RELAXED);
#endif
}

// What one thread has done so far.
struct Tally {
  uint32_t entries, strays, budget;
};

// Marks every `step`-th granule of a block, from the `from`-th.
GPU_FUNCTION void mark_block(const KvProbeRequest& request, uint32_t run, uint64_t block,
                             uint64_t from, uint64_t step, Tally& tally) {
  for (uint32_t c = 0; c < request.caches; ++c) {
    if ((run >> c & 1) == 0) continue;
    const KvCache& cache = request.cache[c];
    if (block >= cache.blocks) {
      if (from == 0) ++tally.strays;
      continue;
    }
    const uint64_t begin = cache.first + block * cache.stride;
    const uint64_t last = (begin + cache.bytes - 1) >> cache.shift;
    for (uint64_t granule = (begin >> cache.shift) + from; granule <= last; granule += step) {
      if (tally.budget == 0) return;
      --tally.budget;
      make_mark(cache.marks, granule);
    }
  }
}

GPU_FUNCTION void table_line(const KvProbeRequest& request, uint32_t run, uint64_t sequence,
                             unsigned lane, Tally& tally) {
  const uint64_t length = entry(request.lengths, sequence, request.length_wide);
  uint64_t line = sequence;
  if (request.lines != 0) {
    if (sequence >= request.line_entries) return;
    line = entry(request.lines, sequence, 0);
  }
  const bool is_position = request.lengths_are != 0;
  // Neither a line nor a length is so large; what is left cannot run over.
  if (negative(length) || length > 0x7fffffff || line > 0x7fffffff) return;
  if (length == 0 && !is_position) return;
  const uint64_t last = (is_position ? length : length - 1) / request.block_tokens;
  const uint64_t first = request.lengths_are == only_one ? last : 0;
  for (uint64_t i = first + lane; i <= last && i < request.table_stride; i += lanes) {
    const uint64_t at = line * request.table_stride + i;
    if (at >= request.table_entries || tally.budget == 0) return;
    --tally.budget;
    ++tally.entries;
    mark_block(request, run, entry(request.table, at, request.table_wide), 0, 1, tally);
  }
}

GPU_FUNCTION void pages_of(const KvProbeRequest& request, uint32_t run, uint64_t sequence,
                           unsigned lane, Tally& tally) {
  if (sequence + 1 >= request.length_entries) return;
  const uint64_t begin = entry(request.lengths, sequence, request.length_wide);
  uint64_t end = entry(request.lengths, sequence + 1, request.length_wide);
  if (negative(begin) || negative(end)) return;
  if (end > request.table_entries) end = request.table_entries;
  for (uint64_t i = begin + lane; i < end; i += lanes) {
    if (tally.budget == 0) return;
    --tally.budget;
    ++tally.entries;
    mark_block(request, run, entry(request.table, i, request.table_wide), 0, 1, tally);
  }
}

GPU_FUNCTION void look(const KvProbeRequest& request, uint32_t run, unsigned thread, Tally& tally) {
  uint64_t count = request.sequences;
  if (request.count_at != 0) {
    const uint64_t told = entry(request.count_at, 0, 0);
    if (negative(told)) return;
    if (told < count) count = told;
  }
  if (request.form == form_slots) {
    for (uint64_t i = thread; i < count && i < request.table_entries; i += kv_probe_threads) {
      if (tally.budget == 0) return;
      --tally.budget;
      const uint64_t slot = entry(request.table, i, request.table_wide);
      if (negative(slot)) continue;  // a token that is none
      ++tally.entries;
      mark_block(request, run, slot / request.block_tokens, 0, 1, tally);
    }
    return;
  }
  if (request.form == form_contiguous) {
    for (uint64_t i = 0; i < count && tally.budget != 0; ++i) {
      --tally.budget;
      if (thread == 0) ++tally.entries;
      mark_block(request, run, i, thread, kv_probe_threads, tally);
    }
    return;
  }
  for (uint64_t i = thread / lanes; i < count && tally.budget != 0; i += kv_probe_threads / lanes) {
    --tally.budget;
    if (request.form == form_pages) {
      pages_of(request, run, i, thread % lanes, tally);
    } else if (i < request.length_entries) {
      table_line(request, run, i, thread % lanes, tally);
    }
  }
}

// Which caches are wanted, all memory being there still.
GPU_FUNCTION uint32_t wanted(const KvProbeRequest& request) {
  uint32_t run = 0;
  for (uint32_t c = 0; c < request.caches; ++c) {
    const KvWords* const words = reinterpret_cast<const KvWords*>(request.cache[c].words);
    if (gpu::load(&words->wanted) != 0) run |= 1u << c;
  }
  for (uint32_t g = 0; run != 0 && g < request.guards; ++g) {
    const KvGuard& guard = request.guard[g];
    if (gpu::load(reinterpret_cast<const uint32_t*>(guard.word)) != guard.stamp) run = 0;
  }
  return run;
}

GPU_KERNEL probe_kv(KvProbeRequest request) {
  GPU_SHARED uint32_t run;
  GPU_SHARED uint32_t entries[kv_probe_threads], strays[kv_probe_threads];
  GPU_THREADS {
    if (threadIdx.x == 0) run = wanted(request);
  }
  GPU_BARRIER();
  if (run == 0) return;
  GPU_THREADS {
    Tally tally = {0, 0, kv_probe_budget};
    look(request, run, threadIdx.x, tally);
    entries[threadIdx.x] = tally.entries;
    strays[threadIdx.x] = tally.strays;
  }
  GPU_BARRIER();
  GPU_THREADS {
    if (threadIdx.x != 0) continue;
    uint32_t all_entries = 0, all_strays = 0;
    for (unsigned i = 0; i < kv_probe_threads; ++i) {
      all_entries += entries[i];
      all_strays += strays[i];
    }
    for (uint32_t c = 0; c < request.caches; ++c) {
      if ((run >> c & 1) == 0) continue;
      KvWords* const words = reinterpret_cast<KvWords*>(request.cache[c].words);
      gpu::store(&words->entries, gpu::load(&words->entries) + all_entries);
      gpu::store(&words->strays, gpu::load(&words->strays) + all_strays);
      gpu::store(&words->wanted, 0u);
      gpu::store(&words->looks, gpu::load(&words->looks) + 1);
    }
  }
}

GPU_MODULE(GPU_ENTRY(probe_kv))
