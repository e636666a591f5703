// Work that computes on memory in place: atomics, a GEMV and a GEMM as inference runs them. The
// same inputs in HBM and in host frames must give the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

void fill_matrix(Probe& probe, CUdeviceptr values, std::uint64_t count, std::uint32_t seed) {
  Stream stream;
  launch(probe.kernel("fill_bf16"), probe.multiprocessors() * 8, 256, stream, values, count, seed);
  stream.wait();
}

// What fill_bf16 put at index i.
double value_at(std::uint64_t i, std::uint32_t seed) {
  const std::uint32_t h = (static_cast<std::uint32_t>(i) * 2654435761u + seed) >> 16;
  return (static_cast<int>(h % 16) - 8) / 8.0;
}

std::vector<float> read_floats(CUdeviceptr from, std::size_t count) {
  std::vector<float> values(count);
  must(cu.cuMemcpyDtoH_v2(values.data(), from, count * sizeof(float)), "cuMemcpyDtoH");
  return values;
}

constexpr std::uint32_t kWeightsSeed = 3, kInputSeed = 11;

// The largest error against a CPU's double arithmetic, over some outputs; inputs are exact in bf16.
double largest_error(const std::vector<float>& results, std::size_t tokens, std::size_t outputs,
                     std::size_t depth) {
  double worst = 0;
  for (std::size_t sample = 0; sample < 64; ++sample) {
    const std::size_t t = sample * 37 % tokens, o = sample * 1031 % outputs;
    double expected = 0;
    for (std::size_t k = 0; k < depth; ++k)
      expected += value_at(t * depth + k, kInputSeed) * value_at(o * depth + k, kWeightsSeed);
    worst = std::max(worst, std::abs(results[t * outputs + o] - expected));
  }
  return worst;
}

}  // namespace

void atomics(Probe& probe) {
  struct Kind {
    const char* kernel;
    unsigned word_bytes;
  };
  constexpr Kind kinds[] = {{"atomic_add_u32", 4},
                            {"atomic_add_u32_system", 4},
                            {"atomic_add_u64", 8},
                            {"atomic_add_f32", 4},
                            {"atomic_cas_u32", 4}};
  constexpr std::size_t bytes = 2_MiB;
  const unsigned blocks = static_cast<unsigned>(probe.multiprocessors()) * 2, threads = 256;
  Stream stream;
  bool all_right = true;
  std::string headline;
  for (const Place place : {Place::hbm, Place::host}) {
    const Buffer buffer(probe, place, bytes, bytes);
    for (const Kind& kind : kinds) {
      const CUfunction kernel = probe.kernel(kind.kernel);
      for (const bool contended : {false, true}) {
        const std::uint32_t words = contended ? 32 : bytes / kind.word_bytes;
        const std::uint32_t rounds = contended ? 4 : 16;
        const std::uint64_t adds = std::uint64_t{blocks} * threads * rounds;
        must(cu.cuMemsetD32_v2(buffer.address(), 0, bytes / 4), "cuMemsetD32");
        must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
        const auto run = [&] {
          launch(kernel, blocks, threads, stream, buffer.address(), words, rounds);
        };
        const std::vector<double> seconds = gpu_seconds(probe, stream, 3, run);
        std::vector<unsigned char> seen(std::size_t{words} * kind.word_bytes);
        must(cu.cuMemcpyDtoH_v2(seen.data(), buffer.address(), seen.size()), "cuMemcpyDtoH");
        double total = 0;
        for (std::size_t w = 0; w < words; ++w) {
          std::uint64_t whole = 0;
          float real = 0;
          std::memcpy(&whole, seen.data() + w * kind.word_bytes, kind.word_bytes);
          std::memcpy(&real, seen.data() + w * kind.word_bytes, 4);
          total += std::strcmp(kind.kernel, "atomic_add_f32") == 0 ? real : double(whole);
        }
        const double runs = static_cast<double>(seconds.size() + 1);
        const bool right = total == runs * static_cast<double>(adds);
        all_right = all_right && right;
        const double rate = static_cast<double>(adds) / median(seconds) / 1e6;
        if (kind.kernel == std::string("atomic_add_u32") && !contended)
          headline += std::string(headline.empty() ? "" : ", ") + name_of(place) + " " +
                      fixed(rate, 0) + " million adds/s";
        probe.append("by_kind", {{"place", name_of(place)},
                                 {"kind", kind.kernel},
                                 {"words_count", words},
                                 {"million_atomics_per_s", rate},
                                 {"right", right},
                                 {"lost_count", runs * static_cast<double>(adds) - total}});
      }
    }
    probe.headline(headline);
  }
  if (!all_right) throw Failure("atomics lost updates: see lost_count");
}

void gemv(Probe& probe) {
  const CUfunction kernel = probe.kernel("gemv_bf16");
  constexpr std::uint32_t cols = 8192;
  std::string headline;
  std::vector<float> reference;
  Stream stream;
  for (const Place place : {Place::hbm, Place::host}) {
    const std::size_t bytes = fitting(probe, Place::host, 512_MiB, 64_MiB);
    const std::uint32_t rows = static_cast<std::uint32_t>(bytes / 2 / cols);
    const Buffer weights(probe, place, bytes, 64_MiB);
    const Buffer input(probe, Place::hbm, 2_MiB, 2_MiB), output(probe, Place::hbm, 2_MiB, 2_MiB);
    fill_matrix(probe, weights.address(), bytes / 2, kWeightsSeed);
    fill_matrix(probe, input.address(), cols, kInputSeed);
    Json row = {{"place", name_of(place)}, {"rows_count", rows}, {"columns_count", cols}};
    double best = 0;
    for (const unsigned per_sm : {1u, 2u, 4u, 8u}) {
      const unsigned blocks = per_sm * static_cast<unsigned>(probe.multiprocessors());
      const std::vector<double> seconds = gpu_seconds(probe, stream, 8, [&] {
        launch(kernel, blocks, 256, stream, weights.address(), input.address(), output.address(),
               rows, cols);
      });
      const double rate = to_gib(bytes) / median(seconds);
      row["by_grid"].push_back({{"blocks_per_multiprocessor_count", per_sm},
                                {"weights_gib_per_s", rate},
                                {"call", spread("microseconds", [&] {
                                   std::vector<double> us;
                                   for (const double s : seconds) us.push_back(s * 1e6);
                                   return us;
                                 }())}});
      best = std::max(best, rate);
    }
    const std::vector<float> results = read_floats(output.address(), rows);
    row["largest_error"] = largest_error(results, 1, rows, cols);
    row["same_bits_as_in_hbm"] = reference.empty() || reference == results;
    row["best_weights_gib_per_s"] = best;
    if (reference.empty()) reference = results;
    headline += std::string(headline.empty() ? "" : ", ") + name_of(place) + " " + fixed(best, 1);
    probe.append("by_place", row);
    probe.headline("weights read at: " + headline + " GiB/s");
    if (!row["same_bits_as_in_hbm"].get<bool>() || row["largest_error"].get<double>() > 0.01)
      throw Failure("wrong results: see largest_error");
  }
}

// Tensor cores (wmma), tiles of 128 x 128 x 32 fetched by cp.async; 4096 outputs, depth 8192.
void gemm(Probe& probe) {
  const CUfunction kernel = probe.kernel("gemm_bf16");
  constexpr std::uint32_t outputs = 4096, depth = 8192, most_tokens = 2048;
  constexpr std::size_t weights_bytes = std::size_t{outputs} * depth * 2;  // 64 MiB
  probe.record("kernel", "bf16 wmma tensor-core tiles 128x128x32, two cp.async stages");
  const Buffer input(probe, Place::hbm, std::size_t{most_tokens} * depth * 2, 2_MiB);
  const Buffer result(probe, Place::hbm, std::size_t{most_tokens} * outputs * 4, 2_MiB);
  fill_matrix(probe, input.address(), std::uint64_t{most_tokens} * depth, kInputSeed);
  fitting(probe, Place::host, weights_bytes, weights_bytes);
  Stream stream;
  std::string headline;
  std::vector<std::vector<float>> reference;
  for (const Place place : {Place::hbm, Place::host}) {
    const Buffer weights(probe, place, weights_bytes, 2_MiB);
    fill_matrix(probe, weights.address(), weights_bytes / 2, kWeightsSeed);
    std::size_t turn = 0;
    for (const std::uint32_t tokens : {128u, 512u, most_tokens}) {
      const auto run = [&] {
        CUdeviceptr a = input.address(), b = weights.address(), c = result.address();
        std::uint32_t t = tokens, o = outputs, d = depth;
        void* parameters[] = {&a, &b, &c, &t, &o, &d};
        must(cu.cuLaunchKernel(kernel, outputs / 128, tokens / 128, 1, 256, 1, 1, 0, stream,
                               parameters, nullptr),
             "cuLaunchKernel");
      };
      const double seconds = median(gpu_seconds(probe, stream, 6, run));
      const std::vector<float> values =
          read_floats(result.address(), std::size_t{tokens} * outputs);
      const double error = largest_error(values, tokens, outputs, depth);
      bool same = true;
      if (place == Place::hbm)
        reference.push_back(values);
      else
        same = turn < reference.size() && reference[turn] == values;
      ++turn;
      probe.append("by_place_and_tokens",
                   {{"place", name_of(place)},
                    {"tokens_count", tokens},
                    {"microseconds", seconds * 1e6},
                    {"weights_once_gib_per_s", to_gib(weights_bytes) / seconds},
                    {"tflop_per_s", 2.0 * tokens * outputs * depth / seconds / 1e12},
                    {"largest_error", error},
                    {"same_bits_as_in_hbm", same}});
      if (tokens == most_tokens) {
        headline += std::string(headline.empty() ? "" : ", ") + name_of(place) + " " +
                    fixed(2.0 * tokens * outputs * depth / seconds / 1e12, 1);
        probe.headline("2048 tokens: " + headline + " TFLOP/s");
      }
      if (!same || error > 0.01) throw Failure("wrong results: see largest_error");
    }
  }
}

}  // namespace vmm_probe
