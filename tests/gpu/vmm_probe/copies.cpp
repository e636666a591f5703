// The copy engines: how fast they move chunks between host memory and HBM, and whether one copy may
// run over frames of both kinds.
#include <algorithm>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

constexpr std::size_t kPerDirection = 256_MiB;

// Both ends of the traffic: host memory of some kind, and HBM, for each direction.
struct Ends {
  CUdeviceptr host_out, hbm_in;  // host to HBM
  CUdeviceptr hbm_out, host_in;  // HBM to host
  std::size_t bytes;             // each
};

void submit(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, std::size_t chunk,
            CUstream stream) {
  for (std::size_t at = 0; at < bytes; at += chunk)
    must(cu.cuMemcpyAsync(to + at, from + at, std::min(chunk, bytes - at), stream),
         "cuMemcpyAsync");
}

// GiB/s over the wall clock, submission included, as a pager would see it.
Json rates(Probe& probe, const Ends& ends, std::size_t chunk) {
  Stream in, out;
  const auto timed = [&](bool inward, bool outward) {
    std::vector<double> gib_per_s;
    for (int round = 0; round < 6 && !(round > 2 && probe.half_time_over()); ++round) {
      const Clock::time_point start = Clock::now();
      if (inward && outward) {  // interleaved, so that neither direction has a head start
        for (std::size_t at = 0; at < ends.bytes; at += chunk) {
          const std::size_t piece = std::min(chunk, ends.bytes - at);
          submit(ends.hbm_in + at, ends.host_out + at, piece, piece, in);
          submit(ends.host_in + at, ends.hbm_out + at, piece, piece, out);
        }
      } else if (inward) {
        submit(ends.hbm_in, ends.host_out, ends.bytes, chunk, in);
      } else {
        submit(ends.host_in, ends.hbm_out, ends.bytes, chunk, out);
      }
      in.wait();
      out.wait();
      const double seconds = seconds_since(start);
      if (round > 0)  // the first warms up
        gib_per_s.push_back(to_gib(ends.bytes * (inward + outward)) / seconds);
    }
    return gib_per_s;
  };
  const std::vector<double> h2d = timed(true, false), d2h = timed(false, true);
  const std::vector<double> both = timed(true, true);
  return {{"chunk_bytes", chunk},
          {"bytes_per_direction", ends.bytes},
          {"host_to_hbm", spread("gib_per_s", h2d)},
          {"hbm_to_host", spread("gib_per_s", d2h)},
          {"both_at_once", spread("gib_per_s", both)}};
}

void measure_chunks(Probe& probe, const Ends& ends, std::initializer_list<std::size_t> chunks) {
  double h2d = 0, d2h = 0, both = 0;
  for (const std::size_t chunk : chunks) {
    if (chunk > ends.bytes) break;
    Json row = rates(probe, ends, chunk);
    h2d = std::max(h2d, row["host_to_hbm"]["gib_per_s_median"].get<double>());
    d2h = std::max(d2h, row["hbm_to_host"]["gib_per_s_median"].get<double>());
    both = std::max(both, row["both_at_once"]["gib_per_s_median"].get<double>());
    probe.append("by_chunk_size", row);
    probe.headline("best: in " + fixed(h2d, 1) + ", out " + fixed(d2h, 1) + ", both " +
                   fixed(both, 1) + " GiB/s");
    if (probe.half_time_over()) break;
  }
}

}  // namespace

void pinned_ceiling(Probe& probe) {
  const std::size_t bytes = fitting(probe, Place::host, 2 * kPerDirection, 16_MiB) / 2;
  const PinnedMemory host(probe, 2 * bytes);
  const Buffer hbm(probe, Place::hbm, 2 * bytes, 2_MiB);
  measure_chunks(
      probe, {host.address(), hbm.address(), hbm.address() + bytes, host.address() + bytes, bytes},
      {2_MiB, 64_MiB, 256_MiB});
}

void copy_chunks(Probe& probe) {
  const std::size_t bytes = fitting(probe, Place::host, 2 * kPerDirection, 128_MiB) / 2;
  const Buffer host(probe, Place::host, 2 * bytes, 64_MiB);
  const Buffer hbm(probe, Place::hbm, 2 * bytes, 64_MiB);
  measure_chunks(
      probe, {host.address(), hbm.address(), hbm.address() + bytes, host.address() + bytes, bytes},
      {64_KiB, 256_KiB, 1_MiB, 2_MiB, 4_MiB, 8_MiB, 16_MiB, 32_MiB, 64_MiB});
}

void copy_batch(Probe& probe) {
#if CUDA_VERSION < 13000
  (void)probe;
  throw Skipped("built with a toolkit older than CUDA 13.0");
#else
  if (!cu.cuMemcpyBatchAsync_v2)
    throw Skipped("this driver does not export cuMemcpyBatchAsync_v2 (CUDA 13.0)");
  const std::size_t bytes = fitting(probe, Place::host, 128_MiB, 2_MiB);
  const Buffer host(probe, Place::host, bytes, 2_MiB), hbm(probe, Place::hbm, bytes, 2_MiB);
  Stream stream;
  double best = 0;
  for (const std::size_t chunk : {16_KiB, 64_KiB, 256_KiB, 2_MiB}) {
    std::vector<CUdeviceptr> to, from;
    for (std::size_t at = 0; at < bytes; at += chunk) {
      to.push_back(hbm.address() + at);
      from.push_back(host.address() + at);
    }
    std::vector<std::size_t> sizes(to.size(), chunk);
    CUmemcpyAttributes attributes{};
    attributes.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
    std::size_t first = 0;
    std::vector<double> batched, one_by_one;
    for (int round = 0; round < 5; ++round) {
      Clock::time_point start = Clock::now();
      must(cu.cuMemcpyBatchAsync_v2(to.data(), from.data(), sizes.data(), to.size(), &attributes,
                                    &first, 1, stream),
           "cuMemcpyBatchAsync");
      stream.wait();
      if (round > 0) batched.push_back(to_gib(bytes) / seconds_since(start));
      start = Clock::now();
      submit(hbm.address(), host.address(), bytes, chunk, stream);
      stream.wait();
      if (round > 0) one_by_one.push_back(to_gib(bytes) / seconds_since(start));
    }
    best = std::max(best, median(batched));
    probe.append("by_chunk_size", {{"chunk_bytes", chunk},
                                   {"copies_count", to.size()},
                                   {"batched", spread("gib_per_s", batched)},
                                   {"one_by_one", spread("gib_per_s", one_by_one)}});
    probe.headline("host to HBM, batched, at best " + fixed(best, 1) + " GiB/s");
  }
#endif
}

// Four chunks side by side, HBM, host, host, HBM, and every kind of copy and fill over all of them.
void copy_spanning(Probe& probe) {
  constexpr std::size_t chunk = 2_MiB, bytes = 4 * chunk, words = bytes / 4;
  std::vector<Frame> frames;
  for (const Place place : {Place::hbm, Place::host, Place::host, Place::hbm})
    frames.emplace_back(probe, place, chunk);
  Window mixed(probe, bytes);
  mixed.map_all(frames);
  const Buffer plain(probe, Place::hbm, bytes, chunk);
  PinnedMemory pinned(probe, 2 * bytes);
  auto* pattern = static_cast<std::uint32_t*>(pinned.host());
  auto* back = pattern + words;
  Stream stream;
  const CUdeviceptr pattern_address = pinned.address(), back_address = pinned.address() + bytes;

  bool all_right = true;
  std::uint32_t seed = 0;
  // Each way writes a fresh pattern into `mixed`, or reads one out of it, and the bytes are
  // checked.
  const auto check = [&](const char* name, const auto& call, bool fill = false) {
    seed += 0x01010101u;
    for (std::size_t i = 0; i < words; ++i)
      pattern[i] = fill ? seed : static_cast<std::uint32_t>(i) * 2654435761u + seed;
    std::fill(back, back + words, 0u);
    const Clock::time_point start = Clock::now();
    CUresult result = call();
    if (result == CUDA_SUCCESS) result = cu.cuStreamSynchronize(stream);
    const double took = microseconds_since(start);
    std::size_t wrong = 0;
    if (result == CUDA_SUCCESS)
      for (std::size_t i = 0; i < words; ++i) wrong += back[i] != pattern[i];
    probe.append("by_call", {{"call", name},
                             {"result", name_of(result)},
                             {"wrong_words_count", wrong},
                             {"microseconds", took}});
    all_right = all_right && result == CUDA_SUCCESS && wrong == 0;
  };
  // The other half of each round trip goes chunk by chunk, which is not in question.
  const auto chunkwise = [&](CUdeviceptr to, CUdeviceptr from) {
    for (std::size_t at = 0; at < bytes; at += chunk)
      if (const CUresult r = cu.cuMemcpy(to + at, from + at, chunk); r != CUDA_SUCCESS) return r;
    return cu.cuCtxSynchronize();
  };
  const auto then = [](CUresult first, const auto& next) {
    return first == CUDA_SUCCESS ? next() : first;
  };
  const auto async = [&](CUdeviceptr to, CUdeviceptr from) {
    const CUresult r = cu.cuMemcpyAsync(to, from, bytes, stream);
    return r == CUDA_SUCCESS ? cu.cuStreamSynchronize(stream) : r;
  };
  const CUdeviceptr m = mixed.base();
  check("cuMemcpyHtoD into it", [&] {
    return then(cu.cuMemcpyHtoD_v2(m, pattern, bytes), [&] { return chunkwise(back_address, m); });
  });
  check("cuMemcpyDtoH out of it", [&] {
    return then(chunkwise(m, pattern_address), [&] { return cu.cuMemcpyDtoH_v2(back, m, bytes); });
  });
  check("cuMemcpyAsync into it from pinned memory", [&] {
    return then(async(m, pattern_address), [&] { return chunkwise(back_address, m); });
  });
  check("cuMemcpyAsync out of it to pinned memory", [&] {
    return then(chunkwise(m, pattern_address), [&] { return async(back_address, m); });
  });
  check("cuMemcpyHtoD into it from pageable memory", [&] {
    const std::vector<std::uint32_t> pageable(pattern, pattern + words);
    return then(cu.cuMemcpyHtoD_v2(m, pageable.data(), bytes),
                [&] { return chunkwise(back_address, m); });
  });
  check("cuMemcpyDtoDAsync into it from HBM", [&] {
    return then(chunkwise(plain.address(), pattern_address), [&] {
      return then(cu.cuMemcpyDtoDAsync_v2(m, plain.address(), bytes, stream), [&] {
        return then(cu.cuStreamSynchronize(stream), [&] { return chunkwise(back_address, m); });
      });
    });
  });
  check("cuMemcpyDtoDAsync out of it to HBM", [&] {
    return then(chunkwise(m, pattern_address), [&] {
      return then(cu.cuMemcpyDtoDAsync_v2(plain.address(), m, bytes, stream), [&] {
        return then(cu.cuStreamSynchronize(stream),
                    [&] { return chunkwise(back_address, plain.address()); });
      });
    });
  });
  check(
      "cuMemsetD32Async over it",
      [&] {
        return then(cu.cuMemsetD32Async(m, seed, words, stream), [&] {
          return then(cu.cuStreamSynchronize(stream), [&] { return chunkwise(back_address, m); });
        });
      },
      true);
  check(
      "cuMemsetD8Async over it",
      [&] {
        return then(cu.cuMemsetD8Async(m, static_cast<unsigned char>(seed), bytes, stream), [&] {
          return then(cu.cuStreamSynchronize(stream), [&] { return chunkwise(back_address, m); });
        });
      },
      true);
  probe.record("all_right", all_right);
  probe.headline(all_right ? "every copy and fill ran over both kinds, bytes right"
                           : "not every copy or fill works over both kinds: see by_call");
}

}  // namespace vmm_probe
