// The hash that tells whether a chunk changed: 128 bits, taken on the GPU, at what rate. Each
// 16-byte word is mixed with its place, and the mixed words are added up, so that any number of
// threads may share a chunk; the CPU computes the same thing here, as a check.
#include <algorithm>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

struct Hash {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Hash&) const = default;
};

Hash on_cpu(const std::vector<std::uint64_t>& data) {
  Hash hash;
  for (std::uint64_t i = 0; i < data.size() / 2; ++i) {
    const std::uint64_t a = mix(data[2 * i] + i * 0x9e3779b97f4a7c15ull);
    const std::uint64_t b = mix((data[2 * i + 1] ^ a) + i * 0xd1b54a32d192ed03ull);
    hash.low += a ^ (b >> 7);
    hash.high += b + (a << 9);
  }
  return hash;
}

}  // namespace

void hash(Probe& probe) {
  const CUfunction kernel = probe.kernel("hash_chunks");
  Stream stream;
  std::string headline;
  for (const Place place : {Place::hbm, Place::host}) {
    const std::size_t bytes = fitting(probe, place, place == Place::hbm ? 2_GiB : 256_MiB, 64_MiB);
    const Buffer data(probe, place, bytes, 64_MiB);
    const Buffer hashes(probe, Place::hbm, 2_MiB, 2_MiB);
    launch(probe.kernel("fill_words"), probe.multiprocessors() * 8, 256, stream, data.address(),
           std::uint64_t{bytes / 4}, 99u);
    stream.wait();
    double best = 0;
    for (const std::size_t chunk : {2_MiB, 16_MiB, 64_MiB}) {
      for (std::size_t batch = 1; batch <= bytes / chunk; batch *= 8) {
        // Enough blocks to fill the GPU, shared out over the batch.
        const unsigned per_chunk =
            std::clamp<unsigned>(static_cast<unsigned>(probe.multiprocessors() * 8 / batch), 1,
                                 static_cast<unsigned>(chunk / 16 / 256));
        // Moves through the data, so that what is hashed is not in the cache already.
        std::size_t at = 0;
        const std::vector<double> seconds = gpu_seconds(probe, stream, 10, [&] {
          must(cu.cuMemsetD32Async(hashes.address(), 0, batch * 4, stream), "cuMemsetD32Async");
          CUdeviceptr from = data.address() + at, out = hashes.address();
          std::uint64_t words = chunk / 16;
          void* parameters[] = {&from, &words, &out};
          must(cu.cuLaunchKernel(kernel, per_chunk, static_cast<unsigned>(batch), 1, 256, 1, 1, 0,
                                 stream, parameters, nullptr),
               "cuLaunchKernel");
          at = at + 2 * batch * chunk <= bytes ? at + batch * chunk : 0;
        });
        const double rate = to_gib(batch * chunk) / median(seconds);
        best = std::max(best, rate);
        std::vector<double> microseconds;
        for (const double s : seconds) microseconds.push_back(s * 1e6);
        probe.append("by_batch", {{"place", name_of(place)},
                                  {"chunk_bytes", chunk},
                                  {"batch_count", batch},
                                  {"blocks_per_chunk_count", per_chunk},
                                  {"gib_per_s", rate},
                                  {"call", spread("microseconds", microseconds)}});
      }
    }
    std::vector<std::uint64_t> copy(2_MiB / 8);
    must(cu.cuMemcpyDtoH_v2(copy.data(), data.address(), 2_MiB), "cuMemcpyDtoH");
    Hash expected = on_cpu(copy), seen;
    must(cu.cuMemsetD32Async(hashes.address(), 0, 4, stream), "cuMemsetD32Async");
    launch(kernel, 64, 256, stream, data.address(), std::uint64_t{2_MiB / 16}, hashes.address());
    stream.wait();
    must(cu.cuMemcpyDtoH_v2(&seen, hashes.address(), sizeof seen), "cuMemcpyDtoH");
    probe.append("same_as_on_the_cpu", {{"place", name_of(place)}, {"same", seen == expected}});
    headline += std::string(headline.empty() ? "" : ", ") + name_of(place) + " " + fixed(best, 0);
    probe.headline(headline + " GiB/s at best");
    if (!(seen == expected)) throw Failure("the GPU's hash differs from the CPU's");
  }
}

}  // namespace vmm_probe
