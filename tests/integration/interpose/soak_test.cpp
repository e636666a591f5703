// Thousands of lives of what a server makes and drops all day, while pages move: afterwards the
// process is no larger than it was after the first hundreds.
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "gpu_test.h"
#include "simgpu/control.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::size_t entries_of(const char* directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

// Of this process, as the kernel counts.
struct Footprint {
  static Footprint now() {
    Footprint seen;
    std::ifstream status("/proc/self/status"), maps("/proc/self/maps");
    for (std::string line; std::getline(status, line);) {
      // Without what is shared: which pages of the simulated GPU are mapped differs all the time.
      if (line.rfind("RssAnon:", 0) == 0) seen.heap_kib = std::stoul(line.substr(8));
    }
    for (std::string line; std::getline(maps, line);) ++seen.mappings;
    seen.descriptors = entries_of("/proc/self/fd");
    seen.threads = entries_of("/proc/self/task");
    return seen;
  }
  std::size_t heap_kib = 0, mappings = 0, descriptors = 0, threads = 0;
};

class Soak : public GpuTest {
 protected:
  Soak() {
    for (CUdeviceptr& one : kept_) {
      EXPECT_CUDA(cuMemAlloc(&one, piece));
      fill(one, piece, seed(one));
    }
  }
  ~Soak() override {
    for (CUdeviceptr one : kept_) {
      EXPECT_TRUE(holds(one, piece, seed(one)));
      EXPECT_CUDA(cuMemFree(one));
    }
    EXPECT_EQ(stat("frozen"), 0u);
    EXPECT_EQ(stat("driver_errors"), 0u);
  }
  static std::uint32_t seed(CUdeviceptr one) { return static_cast<std::uint32_t>(one >> 20); }

  // One of everything, used and dropped, beside what is kept and does not all fit into HBM.
  void live_once(int round) {
    CUdeviceptr large = 0, small = 0;
    CUstream stream = nullptr;
    CUevent event = nullptr;
    ASSERT_CUDA(cuMemAlloc(&large, 4 * mebibyte));
    ASSERT_CUDA(cuMemAlloc(&small, 4096));
    ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ASSERT_CUDA(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    const auto value = static_cast<unsigned>(round);
    ASSERT_CUDA(cuMemsetD32Async(large, value, 1024, stream));
    ASSERT_CUDA(cuMemsetD32Async(small, value, 1024, stream));
    ASSERT_CUDA(cuEventRecord(event, stream));
    add(kept_[static_cast<std::size_t>(round) / 50 % kept_.size()], 4096, 0);
    ASSERT_CUDA(cuEventSynchronize(event));
    unsigned back[2] = {};
    ASSERT_CUDA(cuMemcpyDtoH(&back[0], large + 4092, 4));
    ASSERT_CUDA(cuMemcpyDtoH(&back[1], small + 4092, 4));
    ASSERT_EQ(back[0], value);
    ASSERT_EQ(back[1], value);
    if (round % 10 == 0) live_as_graph(large, stream);
    ASSERT_CUDA(cuEventDestroy(event));
    ASSERT_CUDA(cuStreamDestroy(stream));
    ASSERT_CUDA(cuMemFree(large));
    ASSERT_CUDA(cuMemFree(small));
  }
  void live_as_graph(CUdeviceptr memory, CUstream stream) {
    CUgraph graph = nullptr;
    CUgraphExec executable = nullptr;
    ASSERT_CUDA(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    ASSERT_CUDA(cuMemsetD32Async(memory, 1, 1024, stream));
    ASSERT_CUDA(cuStreamEndCapture(stream, &graph));
    ASSERT_CUDA(cuGraphInstantiate(&executable, graph, 0));
    ASSERT_CUDA(cuGraphLaunch(executable, stream));
    ASSERT_CUDA(cuStreamSynchronize(stream));
    ASSERT_CUDA(cuGraphExecDestroy(executable));
    ASSERT_CUDA(cuGraphDestroy(graph));
  }

  std::array<CUdeviceptr, 6> kept_{};
};

TEST_F(Soak, ThousandsOfLivesLeaveTheProcessAsLargeAsItWas) {
  // SOAK_LIVES makes a night of it.
  const char* const wanted = std::getenv("SOAK_LIVES");
  const int warm_up = 200, lives = wanted == nullptr ? 1000 : std::atoi(wanted);
  for (int round = 0; round < warm_up; ++round) {
    live_once(round);
    if (HasFatalFailure()) return;
  }
  const Footprint before = Footprint::now();
  const std::uint64_t regions = stat("regions"), native = stat("native_bytes");
  const std::uint64_t flips = stat("flips");
  for (int round = 0; round < lives; ++round) {
    live_once(round);
    if (HasFatalFailure()) return;
  }
  const Footprint after = Footprint::now();
  EXPECT_GT(stat("flips"), flips) << "nothing moved: this proves little";
  EXPECT_EQ(stat("regions"), regions);
  EXPECT_EQ(stat("native_bytes"), native);
  EXPECT_LE(stat("host_bytes"), host_limit);
  EXPECT_LE(stat("hbm_bytes"), hbm_limit);
  EXPECT_EQ(stat("refused_bytes"), 0u);
  std::printf(
      "heap %zu -> %zu KiB, mappings %zu -> %zu, descriptors %zu -> %zu, threads %zu -> %zu\n",
      before.heap_kib, after.heap_kib, before.mappings, after.mappings, before.descriptors,
      after.descriptors, before.threads, after.threads);
  // 3 KiB a life would be 3 MiB, one descriptor or mapping a life 1000. A sanitizer keeps what was
  // freed.
  if (!sanitized) {
    EXPECT_LE(after.heap_kib, before.heap_kib + (3 << 10));
  }
  EXPECT_LE(after.mappings, before.mappings + 200);
  EXPECT_LE(after.descriptors, before.descriptors + 20);
  EXPECT_LE(after.threads, before.threads + 4);
}

TEST_F(Soak, TheHostLimitHoldsAtEveryMomentUnderLoad) {
  const auto memory = reinterpret_cast<decltype(&simgpu_memory)>(
      dlsym(dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY), "simgpu_memory"));
  if (memory == nullptr) GTEST_SKIP() << "only the simulated driver counts what it gave out";
  std::atomic<int> refused{0}, wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      std::vector<CUdeviceptr> mine;
      for (unsigned i = 0; i < 150; ++i) {
        CUdeviceptr one = 0;
        const std::size_t size = (2 + (i * 7 + t * 5) % 11 * 2) * mebibyte;
        const CUresult result = cuMemAlloc(&one, size);
        if (result == CUDA_SUCCESS) {
          mine.push_back(one);
          EXPECT_CUDA(cuMemsetD32(one + size - 4096, i, 1024));
        } else {
          ++(result == CUDA_ERROR_OUT_OF_MEMORY ? refused : wrong);
          for (CUdeviceptr kept : mine) EXPECT_CUDA(cuMemFree(kept));
          mine.clear();
        }
      }
      for (CUdeviceptr kept : mine) EXPECT_CUDA(cuMemFree(kept));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(refused, 0) << "the limits were never reached";
  // The driver's own count, of which it remembers the most.
  SimgpuMemory seen{};
  memory(0, &seen);
  std::printf("%d refused; most host memory ever: %llu of %zu MiB\n", refused.load(),
              seen.host_peak >> 20, host_limit / mebibyte);
  EXPECT_LE(seen.host_peak, host_limit);
  EXPECT_GT(seen.host_peak, host_limit - 16 * mebibyte);
}

}  // namespace
