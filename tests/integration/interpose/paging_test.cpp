// Four times as much memory as HBM: the right bytes, within the limit, however they are written.
#include <atomic>
#include <map>
#include <thread>

#include "gpu_test.h"
#include "interpose_kernels.h"
#include "simgpu/gpu_image.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;
constexpr std::size_t pieces = 4 * hbm_limit / piece;

class PagingTest : public GpuTest {
 protected:
  PagingTest() : memory_(pieces) {
    for (CUdeviceptr& one : memory_) EXPECT_CUDA(cuMemAlloc(&one, piece));
  }
  ~PagingTest() override {
    for (CUdeviceptr one : memory_) EXPECT_CUDA(cuMemFree(one));
    EXPECT_LE(stat("peak_hbm_bytes"), hbm_limit);
    EXPECT_EQ(stat("frozen"), 0u);
    EXPECT_EQ(stat("driver_errors"), 0u);
  }
  std::vector<CUdeviceptr> memory_;
};

TEST_F(PagingTest, KernelsFillFourTimesWhatHbmHolds) {
  for (std::size_t i = 0; i < pieces; ++i) fill(memory_[i], piece, static_cast<std::uint32_t>(i));
  for (int round = 1; round <= 3; ++round) {
    for (CUdeviceptr one : memory_) add(one, piece, 5);
    for (std::size_t i = 0; i < pieces; ++i) {
      ASSERT_TRUE(holds(memory_[i], piece, static_cast<std::uint32_t>(i),
                        static_cast<std::uint32_t>(5 * round)))
          << "piece " << i << " in round " << round;
    }
  }
}

TEST_F(PagingTest, WhatIsUsedMovesIntoHbmAndTheRestOut) {
  for (std::size_t i = 0; i < pieces; ++i) fill(memory_[i], piece, static_cast<std::uint32_t>(i));
  ASSERT_CUDA(cuStreamSynchronize(stream_));
  const std::uint64_t promoted = stat("promoted_bytes"), evicted = stat("evicted_bytes");
  // The last two were allocated when HBM was full, so they began in host memory.
  std::uint32_t added = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (stat("promoted_bytes") - promoted < 2 * piece &&
         std::chrono::steady_clock::now() < deadline) {
    add(memory_[pieces - 1], piece, 1);
    add(memory_[pieces - 2], piece, 1);
    ASSERT_CUDA(cuStreamSynchronize(stream_));
    ++added;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(stat("promoted_bytes") - promoted, 2 * piece);
  EXPECT_GT(stat("evicted_bytes"), evicted);
  for (std::size_t i = 0; i < pieces; ++i) {
    EXPECT_TRUE(
        holds(memory_[i], piece, static_cast<std::uint32_t>(i), i >= pieces - 2 ? added : 0))
        << "piece " << i;
  }
}

TEST_F(PagingTest, MovesAfterTheProgramHasWaitedForItsWork) {
  CUevent event = nullptr;
  ASSERT_CUDA(cuEventCreate(&event, CU_EVENT_DEFAULT));
  const std::map<std::string, std::function<CUresult()>> waits = {
      {"for a stream", [&] { return cuStreamSynchronize(stream_); }},
      {"for all", [&] { return cuCtxSynchronize(); }},
      {"for an event",
       [&] {
         EXPECT_CUDA(cuEventRecord(event, stream_));
         return cuEventSynchronize(event);
       }},
  };
  for (const auto& [name, wait] : waits) {
    const std::uint64_t before = stat("flips_at_quiet_points");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (std::size_t i = 0;
         stat("flips_at_quiet_points") == before && std::chrono::steady_clock::now() < deadline;
         ++i) {
      add(memory_[i / 20 % pieces], piece, 1);
      ASSERT_CUDA(wait());
    }
    EXPECT_GT(stat("flips_at_quiet_points"), before) << name;
  }
  EXPECT_CUDA(cuEventDestroy(event));
}

TEST_F(PagingTest, CopiesAndFillsOfEveryKindReachTheRightBytes) {
  const CUdeviceptr hot = memory_[0], cold = memory_[pieces - 1];
  fill(hot, piece, 77);
  ASSERT_CUDA(cuMemcpyDtoDAsync(cold, hot, piece, stream_));
  EXPECT_TRUE(holds(cold, piece, 77));
  fill(hot, piece, 78);
  ASSERT_CUDA(cuStreamSynchronize(stream_));
  ASSERT_CUDA(cuMemcpy(cold, hot, piece));
  ASSERT_CUDA(cuCtxSynchronize());  // within the device, cuMemcpy does not wait
  EXPECT_TRUE(holds(cold, piece, 78));
  ASSERT_CUDA(cuMemcpyPeer(hot, context_, cold, context_, piece));
  ASSERT_CUDA(cuCtxSynchronize());
  EXPECT_TRUE(holds(hot, piece, 78));
  ASSERT_CUDA(cuMemsetD32Async(cold, 0xabcd1234, piece / 4, stream_));
  ASSERT_CUDA(cuStreamSynchronize(stream_));
  std::vector<std::uint32_t> back(piece / 4);
  ASSERT_CUDA(cuMemcpyDtoH(back.data(), cold, piece));
  EXPECT_EQ(back, std::vector<std::uint32_t>(piece / 4, 0xabcd1234));
  ASSERT_CUDA(cuMemsetD2D8(cold, 4096, 0x11, 100, piece / 4096));
  ASSERT_CUDA(cuMemcpyDtoH(back.data(), cold, piece));
  for (std::size_t row = 0; row < piece / 4096; ++row) {
    ASSERT_EQ(back[row * 1024], 0x11111111u) << row;
    ASSERT_EQ(back[row * 1024 + 25], 0xabcd1234u) << row;
  }
}

TEST_F(PagingTest, ArgumentsInAPackedBufferAreSeenToo) {
  const std::size_t last = pieces - 1;
  struct {
    CUdeviceptr words;
    std::uint64_t count;
    std::uint32_t seed;
  } packed{memory_[last], piece / 4, 9};
  std::size_t size = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  const std::uint64_t named = stat("named_in_place_bytes");
  ASSERT_CUDA(cuLaunchKernel(fill_, 4, 1, 1, 64, 1, 1, 0, stream_, nullptr, extra));
  EXPECT_GT(stat("named_in_place_bytes"), named);
  EXPECT_TRUE(holds(memory_[last], piece, 9));
}

// A GPU that is never quiet while this lives, so that nothing moves.
class BusyGpu {
 public:
  BusyGpu() {
    EXPECT_CUDA(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    EXPECT_CUDA(cuLaunchHostFunc(stream_, wait, &enough_));
  }
  ~BusyGpu() {
    enough_ = true;
    EXPECT_CUDA(cuStreamSynchronize(stream_));
    EXPECT_CUDA(cuStreamDestroy(stream_));
  }
  BusyGpu(const BusyGpu&) = delete;
  BusyGpu& operator=(const BusyGpu&) = delete;

 private:
  static void wait(void* enough) {
    while (!*static_cast<std::atomic<bool>*>(enough)) std::this_thread::yield();
  }
  std::atomic<bool> enough_{false};
  CUstream stream_ = nullptr;
};

// A function's handle may be that of another function after its module is gone, and the driver's
// answer about its parameters with it.
TEST_F(PagingTest, AFunctionThatTookAnothersHandleIsReadByItsOwnParameters) {
  const CUdeviceptr last = memory_[pieces - 1];
  const BusyGpu busy;  // what is in host memory stays there, where its naming is counted
  fill(last, piece, 5);
  std::map<CUfunction, bool> known;  // by handle: whether it was fill_words
  int taken_over = 0;
  std::uint32_t added = 0;
  for (int round = 0; round < 12; ++round) {
    CUmodule module = nullptr;
    CUfunction functions[2] = {};
    ASSERT_CUDA(gpu_image::load(interpose_kernels_images(), &module));
    // In turns, so that each gets what the other one had.
    for (int i = 0; i < 2; ++i) {
      const bool is_fill = (round + i) % 2 == 0;
      ASSERT_CUDA(cuModuleGetFunction(&functions[is_fill ? 0 : 1], module,
                                      is_fill ? "fill_words" : "add_to_span"));
    }
    for (int i = 0; i < 2; ++i) {
      const auto before = known.find(functions[i]);
      if (before != known.end() && before->second != (i == 0)) ++taken_over;
      known[functions[i]] = i == 0;
    }
    std::uint64_t none = 0;
    std::uint32_t value = 1;
    CUdeviceptr nowhere = 0;
    void* nothing[] = {&nowhere, &none, &value};
    ASSERT_CUDA(cuLaunchKernel(functions[0], 1, 1, 1, 1, 1, 1, 0, stream_, nothing, nullptr));
    Span span{piece / sizeof(std::uint32_t), last};
    void* parameters[] = {&span, &value};
    const std::uint64_t named = stat("named_in_place_bytes");
    ASSERT_CUDA(cuLaunchKernel(functions[1], 4, 1, 1, 64, 1, 1, 0, stream_, parameters, nullptr));
    ++added;
    EXPECT_GT(stat("named_in_place_bytes"), named) << "in round " << round;
    ASSERT_CUDA(cuStreamSynchronize(stream_));
    ASSERT_CUDA(cuModuleUnload(module));
  }
#if !defined(__SANITIZE_ADDRESS__)  // which keeps what was freed from coming again
  EXPECT_GT(taken_over, 0) << "no handle came again: this proves nothing";
#endif
  EXPECT_TRUE(holds(last, piece, 5, added));
}

TEST_F(PagingTest, ManyThreadsOnPerThreadStreamsKeepTheirBytes) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      cuCtxSetCurrent(context_);
      std::vector<std::uint32_t> source(piece / 4), back(piece / 4);
      for (std::size_t i = t; i < pieces; i += 4) {
        for (int round = 0; round < 3; ++round) {
          for (std::size_t w = 0; w < source.size(); ++w) {
            source[w] = static_cast<std::uint32_t>(w * (i + 3) + round);
          }
          if (cuMemcpyHtoDAsync(memory_[i], source.data(), piece, CU_STREAM_PER_THREAD) !=
                  CUDA_SUCCESS ||
              cuMemcpyDtoHAsync(back.data(), memory_[i], piece, CU_STREAM_PER_THREAD) !=
                  CUDA_SUCCESS ||
              cuStreamSynchronize(CU_STREAM_PER_THREAD) != CUDA_SUCCESS || back != source) {
            ++wrong;
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
