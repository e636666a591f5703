// Beginning and end: contexts that go, forks, stopping, and what is left behind.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

class Lifetime : public PagerTest {};

TEST_F(Lifetime, GivesBackAllItTook) {
  std::size_t before = 0, after = 0, total = 0;
  ASSERT_CUDA(cuMemGetInfo(&before, &total));
  for (int i = 0; i < 3; ++i) {
    start(64, 64);
    const DeviceAddress region = allocate(mib(100));
    EXPECT_TRUE(use_until(region, [&] { return stat(Stat::regions) == 1; }));
    ASSERT_TRUE(runtime_->free(region).ok());
    finish();
    ASSERT_CUDA(cuMemGetInfo(&after, &total));
    EXPECT_EQ(after, before);
  }
}

TEST_F(Lifetime, LeavesMappingsAsTheyAreWhenItStops) {
  start(16, 64);
  (void)allocate(mib(14));
  const DeviceAddress region = allocate(mib(8));
  fill(region, mib(8), 6);
  runtime_->stop();
  runtime_->stop();
  EXPECT_TRUE(holds(region, mib(8), 6));
  const std::uint64_t flips = stat(Stat::flips);
  for (int i = 0; i < 30; ++i) {
    runtime_->named(region);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(stat(Stat::flips), flips);
  EXPECT_TRUE(runtime_->free(region).ok());
}

TEST_F(Lifetime, FreesTheRegionsOfAContextThatGoes) {
  start(64, 64);
  const DeviceAddress kept = allocate(mib(8));
  CUcontext other = nullptr;
  ASSERT_CUDA(cuCtxCreate(&other, nullptr, 0, device_));
  runtime_->context_created(other);
  const DeviceAddress region = allocate(mib(16));
  EXPECT_EQ(runtime_->find(region)->context, other);
  runtime_->context_destroyed(other);
  ASSERT_CUDA(cuCtxDestroy(other));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  EXPECT_FALSE(runtime_->find(region).has_value());
  EXPECT_TRUE(runtime_->find(kept).has_value());
  EXPECT_EQ(stat_bytes(Stat::region_bytes), mib(8));
}

TEST_F(Lifetime, EndsCopiesAheadOfRegionsThatGoWithTheirContext) {
  start(16, 64);
  const auto end = std::chrono::steady_clock::now() + 2s;
  for (unsigned round = 0; std::chrono::steady_clock::now() < end && !HasFailure(); ++round) {
    // One region outside HBM, and one inside it that belongs to another context.
    const DeviceAddress first = *runtime_->allocate(mib(14));
    const DeviceAddress wanted = *runtime_->allocate(mib(8));
    ASSERT_TRUE(runtime_->free(first).ok());
    CUcontext other = nullptr;
    ASSERT_CUDA(cuCtxCreate(&other, nullptr, 0, device_));
    runtime_->context_created(other);
    ASSERT_TRUE(runtime_->allocate(mib(14)).ok());
    // It is about to leave, and so it is copied when it goes.
    runtime_->named(wanted);
    std::this_thread::sleep_for(200us * (round % 20));
    runtime_->context_destroyed(other);
    ASSERT_CUDA(cuCtxDestroy(other));
    ASSERT_CUDA(cuCtxSetCurrent(context_));
    ASSERT_CUDA(cuCtxSynchronize()) << "round " << round;
    ASSERT_TRUE(runtime_->free(wanted).ok());
  }
  EXPECT_EQ(stat(Stat::frozen), 0u);
}

class FreeingMeanwhile : public Lifetime {
 protected:
  // Frees regions again and again while another thread does what may not be disturbed by it, and
  // may not disturb it.
  void free_while(const std::function<void()>& other_does) {
    std::atomic<bool> stop{false};
    std::thread other([&] {
      ASSERT_CUDA(cuCtxSetCurrent(context_));
      while (!stop && !HasFailure()) other_does();
    });
    const auto end = std::chrono::steady_clock::now() + 1s;
    while (std::chrono::steady_clock::now() < end && !HasFailure()) {
      const auto region = runtime_->allocate(mib(2));
      if (!region.ok()) continue;  // freed ones wait for the end of a capture
      {
        const auto pass = runtime_->gate().pass();
        EXPECT_CUDA(cuMemsetD8Async(region->value, 1, mib(2).value, stream_));
      }
      EXPECT_TRUE(runtime_->free(*region).ok());
    }
    stop = true;
    other.join();
  }
};

TEST_F(FreeingMeanwhile, BreaksNoCaptureThatBeginsMeanwhile) {
  start(16, 64);
  CUstream captured = nullptr;
  ASSERT_CUDA(cuStreamCreate(&captured, CU_STREAM_NON_BLOCKING));
  runtime_->stream_created(context_, captured);
  const DeviceAddress kept = allocate(mib(2));
  free_while([&] {
    CUgraph graph = nullptr;
    {
      const auto pass = runtime_->gate().pass();
      runtime_->capture_began();
      EXPECT_CUDA(cuStreamBeginCapture(captured, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    }
    EXPECT_CUDA(cuMemsetD8Async(kept.value, 1, 16, captured));
    EXPECT_CUDA(cuStreamEndCapture(captured, &graph));
    runtime_->capture_ended();
    EXPECT_CUDA(cuGraphDestroy(graph));
  });
}

TEST_F(FreeingMeanwhile, UsesNoContextThatIsDestroyedMeanwhile) {
  start(16, 64);
  free_while([&] {
    CUcontext other = nullptr;
    EXPECT_CUDA(cuCtxCreate(&other, nullptr, 0, device_));
    runtime_->context_created(other);
    runtime_->context_destroyed(other);
    EXPECT_CUDA(cuCtxDestroy(other));
  });
  EXPECT_EQ(stat(Stat::frozen), 0u);
}

TEST_F(Lifetime, GoesOnMovingAfterTheContextOfItsCopiesIsGone) {
  CUcontext first = nullptr;
  ASSERT_CUDA(cuCtxCreate(&first, nullptr, 0, device_));
  start(16, 64);
  runtime_->context_created(context_);
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  const DeviceAddress a = allocate(mib(14)), b = allocate(mib(8));
  fill(a, mib(14), 1);
  fill(b, mib(8), 2);
  EXPECT_TRUE(use_until(b, [&] { return stat_bytes(Stat::promoted_bytes) >= mib(8); }));
  runtime_->context_destroyed(first);
  ASSERT_CUDA(cuCtxDestroy(first));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  const Bytes before = stat_bytes(Stat::promoted_bytes);
  EXPECT_TRUE(use_until(a, [&] { return stat_bytes(Stat::promoted_bytes) > before; }));
  EXPECT_EQ(stat(Stat::frozen), 0u);
  EXPECT_TRUE(holds(a, mib(14), 1));
  EXPECT_TRUE(holds(b, mib(8), 2));
}

TEST_F(Lifetime, IsInertInAForkedChildAndTheParentGoesOn) {
  start(16, 64);
  (void)allocate(mib(14));
  const DeviceAddress busy = allocate(mib(8));
  fill(busy, mib(8), 2);
  for (int i = 0; i < 10; ++i) {
    runtime_->named(busy);
    const pid_t child = fork();
    if (child == 0) {
      runtime_->stop();
      { const auto pass = runtime_->gate().pass(); }
      runtime_->launched();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_TRUE(use_until(busy, [&] { return stat_bytes(Stat::promoted_bytes) >= mib(8); }));
  EXPECT_TRUE(holds(busy, mib(8), 2));
}

}  // namespace
}  // namespace vhbm
