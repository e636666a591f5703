// What the three calls of a remap cost: one chunk at a time, and batched over contiguous chunks,
// with frames that exist already. Nothing on the GPU touches the ranges that are remapped.
#include <algorithm>
#include <optional>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

constexpr std::size_t kChunkSizes[] = {2_MiB, 4_MiB, 8_MiB, 16_MiB, 32_MiB, 64_MiB};

template <typename Call>
double microseconds_of(Call call) {
  const Clock::time_point start = Clock::now();
  call();
  return microseconds_since(start);
}

// At most 64 chunks, and 512 MiB, so that a row costs a fraction of a second.
std::vector<Frame> frames_for(Probe& probe, Place place, std::size_t chunk) {
  const std::size_t wanted = std::max(chunk, std::min(64 * chunk, 512_MiB));
  return make_frames(probe, place, chunk, fitting(probe, place, wanted, chunk) / chunk);
}

Json singly(Probe& probe, const std::vector<Frame>& frames, Window& window, int rounds) {
  std::vector<double> map, allow, unmap;
  const std::size_t chunk = frames.front().bytes();
  for (int round = 0; round < rounds; ++round) {
    std::size_t mapped = 0;  // fewer than all where each call waits for a kernel, and time runs out
    for (std::size_t i = 0; i < frames.size() && !(i >= 4 && probe.half_time_over()); ++i) {
      ++mapped;
      map.push_back(microseconds_of([&] { window.map(i * chunk, frames[i]); }));
      allow.push_back(microseconds_of([&] { window.allow(i * chunk, chunk); }));
    }
    for (std::size_t i = 0; i < mapped; ++i)
      unmap.push_back(microseconds_of([&] { window.unmap(i * chunk, chunk); }));
  }
  return {{"map", spread("microseconds", map)},
          {"set_access", spread("microseconds", allow)},
          {"unmap", spread("microseconds", unmap)}};
}

// One set access and one unmap for `batch` chunks; figures are per batch.
Json batched(const std::vector<Frame>& frames, Window& window, std::size_t batch, int rounds) {
  std::vector<double> map, allow, unmap, per_chunk;
  const std::size_t chunk = frames.front().bytes();
  for (int round = 0; round < rounds; ++round) {
    map.push_back(microseconds_of([&] {
      for (std::size_t i = 0; i < batch; ++i) window.map(i * chunk, frames[i]);
    }));
    allow.push_back(microseconds_of([&] { window.allow(0, batch * chunk); }));
    unmap.push_back(microseconds_of([&] { window.unmap(0, batch * chunk); }));
    per_chunk.push_back((map.back() + allow.back() + unmap.back()) / static_cast<double>(batch));
  }
  const double total = median(per_chunk) * static_cast<double>(batch);
  return {{"batch_count", batch},
          {"map_all", spread("microseconds", map)},
          {"set_access_once", spread("microseconds", allow)},
          {"unmap_once", spread("microseconds", unmap)},
          {"all_three_per_chunk", spread("microseconds", per_chunk)},
          {"remapped_gib_per_s", to_gib(batch * chunk) / (total / 1e6)}};
}

// All chunk sizes and places under one state of the GPU, `load` or idle. The load starts when the
// frames are there, since creating some under it is not in question here. The median of a 2 MiB HBM
// chunk, all three calls, singly and in the largest batch, goes into the headline.
std::string measure(Probe& probe, const std::string& state, std::optional<Busy::With> load,
                    int rounds) {
  std::string headline;
  for (const Place place : {Place::hbm, Place::host}) {
    for (const std::size_t chunk : kChunkSizes) {
      std::vector<Frame> frames;
      try {
        frames = frames_for(probe, place, chunk);
      } catch (const Skipped&) {
        continue;  // no room for even one chunk of this size
      }
      Window window(probe, frames.size() * chunk);
      std::optional<Busy> busy;
      if (load) busy.emplace(probe, *load);
      Json row = {{"gpu", state},
                  {"place", name_of(place)},
                  {"chunk_bytes", chunk},
                  {"chunks_count", frames.size()}};
      row["singly"] = singly(probe, frames, window, rounds);
      for (std::size_t batch = 4; batch <= frames.size(); batch *= 4)
        row["batched"].push_back(batched(frames, window, batch, rounds * 4));
      if (busy)
        if (const std::string trouble = busy->end(); !trouble.empty())
          throw Failure("the load of " + state + " failed: " + trouble);
      if (place == Place::hbm && chunk == 2_MiB && row.contains("batched")) {
        double one = 0;
        for (const char* call : {"map", "set_access", "unmap"})
          one += row["singly"][call]["microseconds_median"].get<double>();
        headline = state + ": 2 MiB HBM chunk " + fixed(one, 1) + " us singly, " +
                   fixed(row["batched"].back()["all_three_per_chunk"]["microseconds_median"], 1) +
                   " us in a batch";
      }
      probe.append("by_chunk_size", row);
      if (probe.half_time_over()) return headline + " (cut short)";
    }
  }
  return headline;
}

}  // namespace

void remap_idle(Probe& probe) {
  probe.headline(measure(probe, "idle", std::nullopt, 5));
}

void remap_under_short_kernels(Probe& probe) {
  probe.headline(measure(probe, "a queue of short kernels", Busy::With::short_kernels, 1));
}

void remap_under_long_kernels(Probe& probe) {
  probe.headline(measure(probe, "kernels of 50 ms", Busy::With::long_kernel, 1));
}

// Frames of both kinds exist; each is stamped, so that what the address shows tells which is
// mapped.
void flip_batch(Probe& probe) {
  std::size_t wrong = 0;
  std::string headline;
  for (const std::size_t chunk : kChunkSizes) {
    std::vector<Frame> hbm, host;
    try {
      host = frames_for(probe, Place::host, chunk);
      hbm = make_frames(probe, Place::hbm, chunk, host.size());
    } catch (const Skipped&) {
      continue;
    }
    for (std::size_t batch = 1; batch <= host.size(); batch *= 4) {
      Window window(probe, batch * chunk);
      const auto stamp = [&](const std::vector<Frame>& frames, std::uint32_t base) {
        for (std::size_t i = 0; i < batch; ++i) window.map(i * chunk, frames[i]);
        window.allow(0, batch * chunk);
        for (std::size_t i = 0; i < batch; ++i)
          must(cu.cuMemsetD32_v2(window.base() + i * chunk, base + std::uint32_t(i), chunk / 4),
               "cuMemsetD32");
        must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
        window.unmap(0, batch * chunk);
      };
      stamp(hbm, 1000);
      stamp(host, 2000);
      for (std::size_t i = 0; i < batch; ++i) window.map(i * chunk, hbm[i]);
      window.allow(0, batch * chunk);

      std::vector<double> to_host, to_hbm, unmap, map, allow;
      for (int round = 0; round < 20; ++round) {
        const bool evict = round % 2 == 0;
        const std::vector<Frame>& next = evict ? host : hbm;
        const double unmapping = microseconds_of([&] { window.unmap(0, batch * chunk); });
        const double mapping = microseconds_of([&] {
          for (std::size_t i = 0; i < batch; ++i) window.map(i * chunk, next[i]);
        });
        const double allowing = microseconds_of([&] { window.allow(0, batch * chunk); });
        unmap.push_back(unmapping);
        map.push_back(mapping);
        allow.push_back(allowing);
        (evict ? to_host : to_hbm).push_back(unmapping + mapping + allowing);
        for (std::size_t i = 0; i < batch; ++i) {
          std::uint32_t seen = 0;
          must(cu.cuMemcpyDtoH_v2(&seen, window.base() + i * chunk, 4), "cuMemcpyDtoH");
          wrong += seen != (evict ? 2000 : 1000) + i;
        }
      }
      const auto rate = [&](const std::vector<double>& microseconds) {
        return to_gib(batch * chunk) / (median(microseconds) / 1e6);
      };
      probe.append("by_batch", {{"chunk_bytes", chunk},
                                {"batch_count", batch},
                                {"hbm_to_host", spread("microseconds", to_host)},
                                {"host_to_hbm", spread("microseconds", to_hbm)},
                                {"unmap_once", spread("microseconds", unmap)},
                                {"map_all", spread("microseconds", map)},
                                {"set_access_once", spread("microseconds", allow)},
                                {"hbm_to_host_gib_per_s", rate(to_host)},
                                {"host_to_hbm_gib_per_s", rate(to_hbm)}});
      if (chunk == 2_MiB)
        headline = std::to_string(batch) + " x 2 MiB: out " + fixed(median(to_host), 0) +
                   " us, back " + fixed(median(to_hbm), 0) + " us";
      probe.headline(headline);
    }
    if (probe.half_time_over()) break;
  }
  probe.record("wrong_chunks_count", wrong);
  if (wrong) throw Failure(std::to_string(wrong) + " chunks showed another frame's bytes");
}

}  // namespace vmm_probe
