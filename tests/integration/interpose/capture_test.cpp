// Captures and graphs over memory that is paged.
#include <thread>

#include "gpu_test.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;

class CaptureTest : public GpuTest {
 protected:
  CaptureTest() : memory_(12) {
    for (CUdeviceptr& one : memory_) EXPECT_CUDA(cuMemAlloc(&one, piece));
  }
  ~CaptureTest() override {
    for (CUdeviceptr one : memory_) EXPECT_CUDA(cuMemFree(one));
    EXPECT_EQ(stat("frozen"), 0u);
  }
  std::vector<CUdeviceptr> memory_;
};

TEST_F(CaptureTest, AGraphRunsAgainAndAgainWhilePagesMove) {
  for (CUdeviceptr one : memory_) fill(one, piece, 3);
  ASSERT_CUDA(cuStreamSynchronize(stream_));
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  for (CUdeviceptr one : memory_) add(one, piece, 1);
  ASSERT_CUDA(cuStreamEndCapture(stream_, &graph));
  ASSERT_CUDA(cuGraphInstantiate(&executable, graph, 0));
  const std::uint64_t named = stat("named_in_place_bytes");
  constexpr std::uint32_t rounds = 20;
  for (std::uint32_t i = 0; i < rounds; ++i) {
    ASSERT_CUDA(cuGraphLaunch(executable, stream_));
    ASSERT_CUDA(cuStreamSynchronize(stream_));
  }
  EXPECT_GT(stat("named_in_place_bytes"), named);
  for (CUdeviceptr one : memory_) EXPECT_TRUE(holds(one, piece, 3, rounds));
  ASSERT_CUDA(cuGraphExecDestroy(executable));
  ASSERT_CUDA(cuGraphDestroy(graph));
}

// Uses what is in host memory until some of it has moved; false after 20 s.
bool moves(const std::function<void()>& use, const std::function<std::uint64_t()>& moved) {
  const std::uint64_t before = moved();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (moved() == before) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    use();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST_F(CaptureTest, PagesMoveAgainAfterACaptureHoweverItEnded) {
  const auto use = [&] {
    // Turns through all of them, so that there is always something to bring in.
    static std::size_t turn = 0;
    add(memory_[turn++ / 20 % memory_.size()], piece, 1);
    cuStreamSynchronize(stream_);
  };
  const auto moved = [] { return stat("promoted_bytes"); };
  CUgraph graph = nullptr;
  // Refused.
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  EXPECT_NE(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  (void)cuStreamEndCapture(stream_, &graph);
  if (graph != nullptr) cuGraphDestroy(graph);
  EXPECT_NE(cuStreamEndCapture(stream_, &graph), CUDA_SUCCESS);
  EXPECT_TRUE(moves(use, moved)) << "after a refused begin";
  // Broken by a question that a capture does not allow.
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  EXPECT_NE(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_TRUE(moves(use, moved)) << "after a broken capture";
}

TEST_F(CaptureTest, NothingMovesWhileAStreamIsCaptured) {
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::uint64_t flips = stat("flips");
  std::thread user([&] {
    cuCtxSetCurrent(context_);
    CUstream mine = nullptr;
    cuStreamCreate(&mine, CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < 20; ++i) {
      cuMemsetD8Async(memory_.back(), 1, piece, mine);
      cuStreamSynchronize(mine);
    }
    cuStreamDestroy(mine);
  });
  user.join();
  EXPECT_EQ(stat("flips"), flips);
  CUgraph graph = nullptr;
  ASSERT_CUDA(cuStreamEndCapture(stream_, &graph));
  ASSERT_CUDA(cuGraphDestroy(graph));
}

TEST_F(CaptureTest, AllocatingMeanwhileIsForbiddenWhereTheDriverForbidsIt) {
  CUdeviceptr one = 0;
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  ASSERT_CUDA(cuThreadExchangeStreamCaptureMode(&mode));
  EXPECT_CUDA(cuMemAlloc(&one, 4 * mebibyte));
  ASSERT_CUDA(cuThreadExchangeStreamCaptureMode(&mode));
  CUgraph graph = nullptr;
  ASSERT_CUDA(cuStreamEndCapture(stream_, &graph));
  ASSERT_CUDA(cuGraphDestroy(graph));
  EXPECT_CUDA(cuMemFree(one));
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT_EQ(cuMemAlloc(&one, 4 * mebibyte), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  (void)cuStreamEndCapture(stream_, &graph);
}

}  // namespace
