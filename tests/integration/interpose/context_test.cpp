// Contexts that come and go over memory that is paged: what is theirs goes with them, and what is
// not stays; and a flip waits for the work of each.
#include <atomic>
#include <thread>

#include "gpu_test.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;
constexpr std::size_t pieces = 2 * hbm_limit / piece;

class ContextTest : public GpuTest {
 protected:
  // In the current context.
  static std::vector<CUdeviceptr> allocate(std::size_t count = pieces) {
    std::vector<CUdeviceptr> memory(count);
    for (CUdeviceptr& one : memory) EXPECT_CUDA(cuMemAlloc(&one, piece));
    return memory;
  }
  static void free(const std::vector<CUdeviceptr>& memory) {
    for (CUdeviceptr one : memory) EXPECT_CUDA(cuMemFree(one));
  }
  // Whether pages move while `use` is repeated, however often a flip is given up before.
  static bool moves(const std::function<void()>& use) {
    return repeat(use, ~std::uint64_t{0}) == Ended::moved;
  }
  // Whether flips are given up and nothing moves while `use` is repeated.
  static bool stays(const std::function<void()>& use) { return repeat(use, 3) == Ended::given_up; }
  // Work in the current context's null stream that lasts until released.
  class Blockade {
   public:
    explicit Blockade(CUstream stream = nullptr) {
      EXPECT_CUDA(cuLaunchHostFunc(
          stream,
          [](void* ended) {
            while (!static_cast<std::atomic<bool>*>(ended)->load()) std::this_thread::yield();
          },
          &ended_));
    }
    ~Blockade() {
      ended_ = true;
      EXPECT_CUDA(cuCtxSynchronize());
    }

   private:
    std::atomic<bool> ended_{false};
  };
  // Uses one region, in a stream of the primary context, and waits.
  std::function<void()> use(CUdeviceptr words) {
    return [this, words] {
      add(words, piece, 1);
      EXPECT_CUDA(cuStreamSynchronize(stream_));
    };
  }
  static CUgreenCtx make_green() {
    CUdevResource all{}, part{};
    unsigned groups = 1;
    CUdevResourceDesc described = nullptr;
    CUgreenCtx green = nullptr;
    EXPECT_CUDA(cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_SM));
    EXPECT_CUDA(cuDevSmResourceSplitByCount(&part, &groups, &all, nullptr, 0, 8));
    EXPECT_CUDA(cuDevResourceGenerateDesc(&described, &part, 1));
    EXPECT_CUDA(cuGreenCtxCreate(&green, described, 0, CU_GREEN_CTX_DEFAULT_STREAM));
    return green;
  }

 private:
  enum class Ended { moved, given_up, out_of_time };
  static Ended repeat(const std::function<void()>& use, std::uint64_t until_given_up) {
    const std::uint64_t moved = stat("promoted_bytes");
    const std::uint64_t given_up = stat("flips_abandoned_deadline");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      if (stat("promoted_bytes") != moved) return Ended::moved;
      if (stat("flips_abandoned_deadline") - given_up >= until_given_up) return Ended::given_up;
      use();
    }
    return Ended::out_of_time;
  }
};

TEST_F(ContextTest, AContextTakesItsRegionsAlong) {
  const auto kept = allocate(1);
  fill(kept[0], piece, 3);
  const std::uint64_t regions = stat("regions"), bytes = stat("region_bytes");
  CUdeviceptr before = 0;
  for (int round = 0; round < 3; ++round) {
    CUcontext other = nullptr;
    ASSERT_CUDA(create_context(&other, device_));
    const auto memory = allocate();
    // What was given back is given out again.
    EXPECT_TRUE(round == 0 || memory[0] == before);
    before = memory[0];
    ASSERT_CUDA(cuMemsetD8(memory[0], 1, piece));
    EXPECT_EQ(stat("regions"), regions + pieces);
    ASSERT_CUDA(cuCtxDestroy(other));
    EXPECT_EQ(stat("regions"), regions);
    EXPECT_EQ(stat("region_bytes"), bytes);
    ASSERT_CUDA(cuCtxSetCurrent(context_));
    EXPECT_NE(cuMemFree(memory[0]), CUDA_SUCCESS);
  }
  EXPECT_TRUE(holds(kept[0], piece, 3));
  EXPECT_EQ(stat("driver_errors"), 0u);
  free(kept);
}

TEST_F(ContextTest, DestroyingAPrimaryContextLikeOthersFreesNothing) {
  const auto memory = allocate(1);
  fill(memory[0], piece, 3);
  EXPECT_NE(cuCtxDestroy(context_), CUDA_SUCCESS);
  EXPECT_EQ(stat("regions"), 1u);
  EXPECT_TRUE(holds(memory[0], piece, 3));
  free(memory);
}

TEST_F(ContextTest, AfterAResetThePrimaryContextIsPagedAsBefore) {
  (void)allocate();
  ASSERT_CUDA(cuDevicePrimaryCtxReset(device_));
  EXPECT_EQ(stat("regions"), 0u);
  // The reset took streams and modules along.
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  const auto memory = allocate();
  {
    // No stream is made that would tell of this context.
    const Blockade blockade(CU_STREAM_PER_THREAD);
    std::thread([&] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      EXPECT_TRUE(stays([&] {
        EXPECT_CUDA(cuMemsetD8Async(memory.back(), 1, piece, CU_STREAM_PER_THREAD));
        EXPECT_CUDA(cuStreamSynchronize(CU_STREAM_PER_THREAD));
      }));
    }).join();
  }
  free(memory);
  make_work();
}

// Deprecated, and still there.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST_F(ContextTest, TheLastDetachEndsAContext) {
  CUcontext other = nullptr, attached = nullptr;
  ASSERT_CUDA(create_context(&other, device_));
  ASSERT_CUDA(cuCtxAttach(&attached, 0));
  EXPECT_EQ(attached, other);
  (void)allocate(1);
  ASSERT_CUDA(cuCtxDetach(other));
  EXPECT_EQ(stat("regions"), 1u);
  ASSERT_CUDA(cuCtxDetach(other));
  EXPECT_EQ(stat("regions"), 0u);
  ASSERT_CUDA(cuCtxSetCurrent(context_));
}

#pragma GCC diagnostic pop

TEST_F(ContextTest, AFlipWaitsForAGreenContextsOwnNullStream) {
  const auto memory = allocate();
  const CUgreenCtx green = make_green();
  CUcontext as_context = nullptr;
  ASSERT_CUDA(cuCtxFromGreenCtx(&as_context, green));
  ASSERT_CUDA(cuCtxSetCurrent(as_context));
  {
    const Blockade blockade;
    EXPECT_TRUE(stays(use(memory.back())));
  }
  EXPECT_TRUE(moves(use(memory.back())));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  ASSERT_CUDA(cuGreenCtxDestroy(green));
  EXPECT_TRUE(moves(use(memory.front())));
  free(memory);
  EXPECT_EQ(stat("driver_errors"), 0u);
}

#if CUDA_VERSION >= 12050
TEST_F(ContextTest, AFlipWaitsForStreamsOfAGreenContext) {
  const auto memory = allocate();
  const CUgreenCtx green = make_green();
  CUstream stream = nullptr;
  ASSERT_CUDA(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
  std::atomic<bool> ended{false};
  ASSERT_CUDA(cuLaunchHostFunc(
      stream,
      [](void* data) {
        while (!static_cast<std::atomic<bool>*>(data)->load()) std::this_thread::yield();
      },
      &ended));
  EXPECT_TRUE(stays(use(memory.back())));
  ended = true;
  EXPECT_TRUE(moves(use(memory.back())));
  ASSERT_CUDA(cuStreamDestroy(stream));
  ASSERT_CUDA(cuGreenCtxDestroy(green));
  EXPECT_TRUE(moves(use(memory.front())));
  free(memory);
}
#endif

TEST_F(ContextTest, WhatWasAllocatedInAGreenContextOutlivesIt) {
  const CUgreenCtx green = make_green();
  // The green context keeps the primary one alive.
  ASSERT_CUDA(cuDevicePrimaryCtxRelease(device_));
  CUcontext as_context = nullptr;
  ASSERT_CUDA(cuCtxFromGreenCtx(&as_context, green));
  ASSERT_CUDA(cuCtxSetCurrent(as_context));
  const auto memory = allocate(1);
  ASSERT_CUDA(cuDevicePrimaryCtxRetain(&context_, device_));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  ASSERT_CUDA(cuGreenCtxDestroy(green));
  EXPECT_EQ(stat("regions"), 1u);
  fill(memory[0], piece, 4);
  EXPECT_TRUE(holds(memory[0], piece, 4));
  free(memory);
}

TEST_F(ContextTest, AThreadWithoutAContextIsAnsweredAsTheDriverDoes) {
  const auto memory = allocate(1);
  CUdeviceptr none = 0;
  std::thread([&] {
    EXPECT_EQ(cuMemAlloc(&none, piece), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuMemsetD8(memory[0], 1, 1), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuStreamSynchronize(nullptr), CUDA_ERROR_INVALID_CONTEXT);
    CUcontext told = nullptr;
    EXPECT_CUDA(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_CONTEXT, memory[0]));
    EXPECT_EQ(told, context_);
    EXPECT_CUDA(cuCtxSetCurrent(context_));
    EXPECT_CUDA(cuMemsetD8(memory[0], 1, piece));
    EXPECT_CUDA(cuCtxSetCurrent(nullptr));
    EXPECT_EQ(cuMemAlloc(&none, piece), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  free(memory);
}

TEST_F(ContextTest, AStreamThatIsDestroyedWithWorkInFlightIsWaitedFor) {
  const auto memory = allocate();
  CUstream stream = nullptr;
  ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  {
    const Blockade blockade(stream);
    ASSERT_CUDA(cuStreamDestroy(stream));
    EXPECT_TRUE(stays(use(memory.back())));
  }
  EXPECT_TRUE(moves(use(memory.back())));
  free(memory);
}

}  // namespace
