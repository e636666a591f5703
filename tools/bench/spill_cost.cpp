// What the tiers below host memory cost: the same bytes through the block store and by nothing but
// pwrite or pread of 2 MiB at a time, in turns, so that a disk that is slow for a while is so for
// both. `of_plain` is how many times as fast as that the store is.
//   spill_cost                         on a disk, the folder being this one or SPILL_COST_FOLDER
//   VHBM_REMOTE_URL=... spill_cost     through that server too
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "runtime/spill/disk.h"
#include "runtime/spill/remote.h"
#include "runtime/spill/tiered_store.h"

namespace vhbm {
namespace {

constexpr Bytes block_size = mib(32);
constexpr std::size_t block_count = 8;
constexpr Bytes total = block_size * block_count;

std::string folder() {
  const char* named = std::getenv("SPILL_COST_FOLDER");
  return named == nullptr ? "." : named;
}

// Bytes as weights of two bytes each have them: the upper ones alike, the lower ones noise.
std::byte* new_bytes() {
  auto* bytes = static_cast<std::byte*>(std::aligned_alloc(4096, total.value));
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < total.value; i += 8) {
    const std::uint64_t word = (random() & 0x07ff'07ff'07ff'07ffull) | 0x3800'3800'3800'3800ull;
    std::memcpy(bytes + i, &word, sizeof word);
  }
  return bytes;
}

template <typename Work>
double seconds(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A file that is allocated, written and read directly where that can be.
class PlainFile {
 public:
  PlainFile()
      : descriptor_(open(folder().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600)),
        failed_(descriptor_ < 0) {}
  ~PlainFile() { close(descriptor_); }
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;

  [[nodiscard]] bool failed() const { return failed_; }
  // A file is written anew, as a block is.
  void empty() { failed_ |= ftruncate(descriptor_, 0) != 0; }
  void write(const std::byte* bytes) {
    failed_ |= fallocate(descriptor_, 0, 0, off_t(total.value)) != 0;
    for (std::uint64_t at = 0; at < total.value; at += piece_size.value)
      failed_ |= pwrite(descriptor_, bytes + at, piece_size.value, off_t(at)) < 0;
  }
  void read(std::byte* bytes) {
    for (std::uint64_t at = 0; at < total.value; at += piece_size.value)
      failed_ |= pread(descriptor_, bytes + at, piece_size.value, off_t(at)) < 0;
  }

 private:
  const int descriptor_;
  bool failed_;
};

struct Case {
  Direction direction;
  CompressionChoice compression;
  bool ring;
};

void compare(benchmark::State& state, Case what, std::unique_ptr<Medium> medium) {
  std::vector<std::unique_ptr<Medium>> media;
  media.push_back(std::move(medium));
  TieredStore store(std::move(media), what.compression);
  PlainFile plain;
  std::byte* const bytes = new_bytes();
  std::vector<BlockSource> sources;
  std::vector<BlockTarget> targets;
  std::vector<BlockKey> keys;
  for (std::size_t i = 0; i < block_count; ++i) {
    const std::span block(bytes + i * block_size.value, block_size.value);
    keys.push_back({i});
    sources.push_back({{i}, block});
    targets.push_back({{i}, block});
  }
  plain.write(bytes);
  double plain_time = 0, store_time = 0;
  Status status = store.write(sources);
  for (auto _ : state) {
    if (!status.ok() || plain.failed()) {
      state.SkipWithError(status.ok() ? "no O_DIRECT to compare with here"
                                      : status.message().c_str());
      break;
    }
    const bool writes = what.direction == Direction::write;
    if (writes) {
      store.drop(keys);
      plain.empty();
    }
    plain_time += seconds([&] { writes ? plain.write(bytes) : plain.read(bytes); });
    const double took =
        seconds([&] { status = writes ? store.write(sources) : store.read(targets); });
    store_time += took;
    state.SetIterationTime(took);
  }
  state.counters["packed"] = double(store.usage().packed.value) / double(total.value);
  state.counters["of_plain"] = plain_time / store_time;
  state.SetBytesProcessed(int64_t(state.iterations()) * int64_t(total.value));
  std::free(bytes);
}

void on_disk(benchmark::State& state, Case what) {
  auto disk = Disk::open(folder(), Size::of(total * 2), {.direct = true, .ring = what.ring});
  if (!disk.ok()) return state.SkipWithError(disk.status().message().c_str());
  compare(state, what, std::move(*disk));
}

void in_store(benchmark::State& state, Case what) {
  const char* url = std::getenv("VHBM_REMOTE_URL");
  const auto address = parse_remote_address(url == nullptr ? "" : url);
  if (!address || address->is_none())
    return state.SkipWithError("VHBM_REMOTE_URL names no server to measure");
  RemoteSettings settings;
  settings.address = *address;
  compare(state, what, std::make_unique<Remote>(settings));
}

constexpr CompressionChoice plain{}, lz4{Codec::lz4, 0}, zstd{Codec::zstd, 1};
#define SPILL_BENCHMARK(medium, name, ...) \
  BENCHMARK_CAPTURE(medium, name, Case{__VA_ARGS__})->UseManualTime()->Unit(benchmark::kMillisecond)
SPILL_BENCHMARK(on_disk, write, Direction::write, plain, true);
SPILL_BENCHMARK(on_disk, write_without_ring, Direction::write, plain, false);
SPILL_BENCHMARK(on_disk, write_lz4, Direction::write, lz4, true);
SPILL_BENCHMARK(on_disk, write_zstd, Direction::write, zstd, true);
SPILL_BENCHMARK(on_disk, read, Direction::read, plain, true);
SPILL_BENCHMARK(on_disk, read_without_ring, Direction::read, plain, false);
SPILL_BENCHMARK(on_disk, read_lz4, Direction::read, lz4, true);
SPILL_BENCHMARK(on_disk, read_zstd, Direction::read, zstd, true);
SPILL_BENCHMARK(in_store, write, Direction::write, plain, true);
SPILL_BENCHMARK(in_store, read, Direction::read, plain, true);

}  // namespace
}  // namespace vhbm

BENCHMARK_MAIN();
