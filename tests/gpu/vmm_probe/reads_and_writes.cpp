// Kernels that read and write frames in place: plain loads and stores, cp.async, TMA with and
// without a tensor map; HBM against host frames against cuMemHostAlloc memory. What they read is
// checked.
#include <algorithm>
#include <optional>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

constexpr std::uint32_t kTileWords = 2048;  // of 32 bits: 8 KiB, the kernels' tile

std::uint64_t sum_of_pattern(std::uint64_t words, std::uint32_t seed) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < words; ++i)
    sum += static_cast<std::uint32_t>(i) * 2654435761u + seed;
  return sum;
}

// Where the data lies: one row of results each.
struct Source {
  std::string name;
  Place limits;                 // whose room bounds it
  std::size_t wanted;           // far more than the L2 cache holds
  std::size_t bytes_per_frame;  // 0: cuMemHostAlloc instead of frames
};

std::vector<Source> sources() {
  return {{"hbm, 64 MiB frames", Place::hbm, 2_GiB, 64_MiB},
          {"hbm, 2 MiB frames", Place::hbm, 2_GiB, 2_MiB},
          {"host_frame, 64 MiB frames", Place::host, 512_MiB, 64_MiB},
          {"host_frame, 2 MiB frames", Place::host, 512_MiB, 2_MiB},
          {"pinned by cuMemHostAlloc", Place::host, 512_MiB, 0}};
}

class Data {
 public:
  Data(Probe& probe, const Source& source)
      : bytes_(fitting(probe, source.limits, source.wanted,
                       source.bytes_per_frame ? source.bytes_per_frame : 64_MiB)) {
    if (source.bytes_per_frame)
      frames_.emplace(probe, source.limits, bytes_, source.bytes_per_frame);
    else
      pinned_.emplace(probe, bytes_);
  }
  CUdeviceptr address() const { return frames_ ? frames_->address() : pinned_->address(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  std::optional<Buffer> frames_;
  std::optional<PinnedMemory> pinned_;
};

// A 64-bit sum that kernels add to.
class Sum {
 public:
  Sum() { must(cu.cuMemAlloc_v2(&address_, 256), "cuMemAlloc"); }
  ~Sum() { cu.cuMemFree_v2(address_); }
  Sum(const Sum&) = delete;
  Sum& operator=(const Sum&) = delete;
  CUdeviceptr address() const { return address_; }
  void clear() { must(cu.cuMemsetD32_v2(address_, 0, 2), "cuMemsetD32"); }
  std::uint64_t value() const {
    std::uint64_t value = 0;
    must(cu.cuMemcpyDtoH_v2(&value, address_, 8), "cuMemcpyDtoH");
    return value;
  }

 private:
  CUdeviceptr address_ = 0;
};

void fill(Probe& probe, CUdeviceptr address, std::uint64_t bytes, std::uint32_t seed) {
  Stream stream;
  launch(probe.kernel("fill_words"), probe.multiprocessors() * 8, 256, stream, address, bytes / 4,
         seed);
  stream.wait();
}

std::uint64_t sum_on_gpu(Probe& probe, CUdeviceptr address, std::uint64_t bytes) {
  Stream stream;
  Sum sum;
  sum.clear();
  must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
  launch(probe.kernel("read_by_loads"), probe.multiprocessors() * 8, 256, stream, address,
         bytes / 16, sum.address());
  stream.wait();
  return sum.value();
}

// Runs `work(blocks)` for several grid sizes and keeps each rate; returns the best.
template <typename Work>
double over_grids(Probe& probe, const Stream& stream, std::uint64_t bytes, Json& row, Work work) {
  double best = 0;
  for (const unsigned per_sm : {1u, 2u, 4u, 8u}) {
    const unsigned blocks = per_sm * static_cast<unsigned>(probe.multiprocessors());
    std::vector<double> rate;
    for (const double seconds : gpu_seconds(probe, stream, 8, [&] { work(blocks); }))
      rate.push_back(to_gib(bytes) / seconds);
    row["by_grid"].push_back(
        {{"blocks_per_multiprocessor_count", per_sm}, {"rate", spread("gib_per_s", rate)}});
    best = std::max(best, median(rate));
  }
  row["best_gib_per_s"] = best;
  return best;
}

void finish(Probe& probe, Json row, std::string& headline) {
  headline += (headline.empty() ? "" : "; ") + row["where"].get<std::string>() + " " +
              fixed(row["best_gib_per_s"].get<double>(), 1);
  const bool right = row["right"];
  probe.append("by_place", std::move(row));
  probe.headline(headline + " GiB/s");
  if (!right) throw Failure("the kernel read or wrote wrong bytes");
}

void read_everywhere(Probe& probe, const char* kernel_name) {
  const CUfunction kernel = probe.kernel(kernel_name);
  std::string headline;
  for (const Source& source : sources()) {
    const Data data(probe, source);
    fill(probe, data.address(), data.bytes(), 17);
    const std::uint64_t expected = sum_of_pattern(data.bytes() / 4, 17);
    Stream stream;
    Sum sum;
    const auto read = [&](unsigned blocks) {
      launch(kernel, blocks, 256, stream, data.address(), data.bytes() / 16, sum.address());
    };
    Json row = {{"where", source.name}, {"bytes", data.bytes()}};
    over_grids(probe, stream, data.bytes(), row, read);
    sum.clear();
    must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
    read(static_cast<unsigned>(probe.multiprocessors()));
    stream.wait();
    row["right"] = sum.value() == expected;
    finish(probe, std::move(row), headline);
    if (probe.half_time_over()) break;
  }
}

void write_everywhere(Probe& probe, const char* kernel_name) {
  const CUfunction kernel = probe.kernel(kernel_name);
  std::string headline;
  std::uint32_t seed = 1;
  for (const Source& source : sources()) {
    const Data data(probe, source);
    Stream stream;
    const auto write = [&](unsigned blocks) {
      launch(kernel, blocks, 256, stream, data.address(), data.bytes() / 16, seed);
    };
    Json row = {{"where", source.name}, {"bytes", data.bytes()}};
    over_grids(probe, stream, data.bytes(), row, write);
    fill(probe, data.address(), data.bytes(), ++seed);  // so that only new bytes can be right
    ++seed;
    write(static_cast<unsigned>(probe.multiprocessors()));
    stream.wait();
    row["right"] = sum_on_gpu(probe, data.address(), data.bytes()) ==
                   sum_of_pattern(kTileWords, seed) * (data.bytes() / 4 / kTileWords);
    finish(probe, std::move(row), headline);
    if (probe.half_time_over()) break;
  }
}

}  // namespace

void read_by_loads(Probe& probe) {
  read_everywhere(probe, "read_by_loads");
}
void read_by_cp_async(Probe& probe) {
  read_everywhere(probe, "read_by_cp_async");
}
void read_by_tma(Probe& probe) {
  read_everywhere(probe, "read_by_tma");
}
void write_by_stores(Probe& probe) {
  write_everywhere(probe, "write_by_stores");
}
void write_by_tma(Probe& probe) {
  write_everywhere(probe, "write_by_tma");
}

// The map is encoded once, while HBM is mapped; then the same address is flipped to host frames
// with other bytes, and the same map is used again.
void read_by_tensor_map(Probe& probe) {
  const CUfunction kernel = probe.kernel("read_by_tensor_map");
  if (!cu.cuTensorMapEncodeTiled) throw Skipped("this driver has no cuTensorMapEncodeTiled");
  const std::size_t bytes = fitting(probe, Place::host, 256_MiB, 64_MiB);
  const std::vector<Frame> hbm = make_frames(probe, Place::hbm, 64_MiB, bytes / 64_MiB);
  const std::vector<Frame> host = make_frames(probe, Place::host, 64_MiB, bytes / 64_MiB);
  Window window(probe, bytes);
  window.map_all(hbm);

  constexpr cuuint32_t kRowWords = 64, kBoxRows = 32;
  CUtensorMap map;
  const cuuint64_t dimensions[] = {kRowWords, bytes / 4 / kRowWords};
  const cuuint64_t strides[] = {kRowWords * 4};
  const cuuint32_t box[] = {kRowWords, kBoxRows}, steps[] = {1, 1};
  must(
      cu.cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 2,
                                reinterpret_cast<void*>(window.base()), dimensions, strides, box,
                                steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                                CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
      "cuTensorMapEncodeTiled");
  std::string headline;
  std::uint32_t seed = 40;
  for (const char* where : {"hbm", "host_frame, after a flip", "hbm, after a second flip"}) {
    if (seed > 40) {
      window.unmap(0, bytes);
      window.map_all(seed == 41 ? host : hbm);
    }
    fill(probe, window.base(), bytes, ++seed);
    Stream stream;
    Sum sum;
    const auto read = [&](unsigned blocks) {
      launch(kernel, blocks, 256, stream, map, static_cast<std::uint32_t>(dimensions[1]),
             sum.address());
    };
    Json row = {{"where", where}, {"bytes", bytes}};
    over_grids(probe, stream, bytes, row, read);
    sum.clear();
    must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
    read(static_cast<unsigned>(probe.multiprocessors()));
    stream.wait();
    row["right"] = sum.value() == sum_of_pattern(bytes / 4, seed);
    finish(probe, std::move(row), headline);
  }
}

}  // namespace vmm_probe
