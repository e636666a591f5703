// What keeps a flip from happening, and that it costs the deadline and nothing more.
#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

class Quiescing : public PagerTest {
 protected:
  // Two regions of which `busy_` lies outside HBM. Nothing moves before let_it_move(), as during a
  // capture, so that a test has all the time it needs to set its obstacle up.
  void make_pressure(const Options& options) {
    start(options);
    runtime_->capture_began();
    idle_ = allocate(mib(14));
    busy_ = allocate(mib(8));
    fill(idle_, mib(14), 1);
    fill(busy_, mib(8), 2);
    EXPECT_TRUE(eventually([&] { return stat(Stat::regions) == 2; }));
  }
  void let_it_move() { runtime_->capture_ended(); }
  // One flip is given up, for the reason that `given_up` counts, and none succeeds.
  void gives_up(Stat given_up) {
    const std::uint64_t before = stat(given_up);
    EXPECT_TRUE(use_until(busy_, [&] { return stat(given_up) > before; }));
    EXPECT_EQ(stat(Stat::flips), 0u);
  }
  static Options patient() {
    Options made = options(16, 64);
    made.pager_interval = 20ms;
    made.quiesce_deadline = 5ms;
    return made;
  }
  [[nodiscard]] bool moves_in_the_end() {
    const Bytes before = stat_bytes(Stat::promoted_bytes);
    return use_until(busy_, [&] {
      return stat_bytes(Stat::promoted_bytes) > before || stat(Stat::host_mapped_bytes) == 0;
    });
  }
  void all_bytes_are_right() {
    EXPECT_TRUE(holds(idle_, mib(14), 1));
    EXPECT_TRUE(holds(busy_, mib(8), 2));
  }

  DeviceAddress idle_, busy_;
};

TEST_F(Quiescing, GivesUpWhileAStreamIsBusyAndTriesAgain) {
  make_pressure(patient());
  Blockade blockade(stream_);
  let_it_move();
  gives_up(Stat::flips_abandoned_deadline);
  gives_up(Stat::flips_abandoned_deadline);
  // The gate is open in between: a submitter gets through.
  std::thread([&] { const auto pass = runtime_->gate().pass(); }).join();
  blockade.release();
  EXPECT_TRUE(moves_in_the_end());
  all_bytes_are_right();
}

TEST_F(Quiescing, WaitsForTheNullStreamToo) {
  make_pressure(patient());
  Blockade blockade(nullptr);
  let_it_move();
  gives_up(Stat::flips_abandoned_deadline);
  blockade.release();
  EXPECT_TRUE(moves_in_the_end());
}

TEST_F(Quiescing, WaitsForWorkLeftBehindInADestroyedStream) {
  driver_.cuCtxRecordEvent = nullptr;
  make_pressure(patient());
  CUstream other = nullptr;
  ASSERT_CUDA(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  runtime_->stream_created(context_, other);
  Blockade blockade(other);
  runtime_->stream_destroyed(other);
  ASSERT_CUDA(cuStreamDestroy(other));
  let_it_move();
  gives_up(Stat::flips_abandoned_deadline);
  blockade.release();
  EXPECT_TRUE(moves_in_the_end());
}

TEST_F(Quiescing, GivesUpWhileASubmitterStaysInside) {
  make_pressure(patient());
  std::atomic<bool> inside{false}, leave{false};
  std::thread submitter([&] {
    const auto pass = runtime_->gate().pass();
    inside = true;
    while (!leave) std::this_thread::sleep_for(1ms);
  });
  while (!inside) std::this_thread::yield();
  let_it_move();
  gives_up(Stat::flips_abandoned_deadline);
  leave = true;
  submitter.join();
  EXPECT_TRUE(moves_in_the_end());
  all_bytes_are_right();
}

TEST_F(Quiescing, EndsInAnAbandonedFlipWhenAHostFunctionWaitsForAGatedThread) {
  make_pressure(patient());
  std::atomic<bool> submitted{false}, stop{false};
  // The stream ends only after another thread got through the gate, again and again.
  std::thread submitter([&] {
    ASSERT_CUDA(cuCtxSetCurrent(context_));
    while (!stop) {
      submitted = false;
      {
        const auto pass = runtime_->gate().pass();
        EXPECT_CUDA(cuLaunchHostFunc(
            stream_,
            [](void* flag) {
              while (!*static_cast<std::atomic<bool>*>(flag)) std::this_thread::sleep_for(100us);
            },
            &submitted));
      }
      std::this_thread::sleep_for(1ms);
      { const auto pass = runtime_->gate().pass(); }
      submitted = true;
      EXPECT_CUDA(cuStreamSynchronize(stream_));
    }
  });
  const std::uint64_t before = stat(Stat::flips_abandoned_deadline);
  let_it_move();
  EXPECT_TRUE(use_until(busy_, [&] {
    return stat(Stat::flips_abandoned_deadline) > before || stat(Stat::host_mapped_bytes) == 0;
  }));
  stop = true;
  submitter.join();
  all_bytes_are_right();
}

TEST_F(Quiescing, MovesNothingWhileAStreamIsBeingCaptured) {
  make_pressure(patient());
  {
    const auto pass = runtime_->gate().pass();
    runtime_->capture_began();
    ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  }
  let_it_move();
  gives_up(Stat::flips_abandoned_capture);
  EXPECT_CUDA(cuMemsetD8Async(busy_.value, 1, 16, stream_));
  CUgraph graph = nullptr;
  EXPECT_CUDA(cuStreamEndCapture(stream_, &graph)) << "the pager broke the capture";
  runtime_->capture_ended();
  EXPECT_CUDA(cuGraphDestroy(graph));
  EXPECT_TRUE(moves_in_the_end());
  all_bytes_are_right();
}

TEST_F(Quiescing, AllocatesAndFreesWhileAStreamIsBeingCaptured) {
  start(16, 16);
  const DeviceAddress before = allocate(mib(4));
  runtime_->capture_began();
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  const DeviceAddress during = allocate(mib(4));
  EXPECT_TRUE(runtime_->free(before).ok());
  EXPECT_FALSE(runtime_->find(before).has_value());
  EXPECT_NE(allocate(mib(4)), before) << "its addresses are not reused before a drain";
  CUgraph graph = nullptr;
  EXPECT_CUDA(cuStreamEndCapture(stream_, &graph));
  runtime_->capture_ended();
  EXPECT_CUDA(cuGraphDestroy(graph));
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::resident_bytes) == mib(8); }));
  EXPECT_EQ(allocate(mib(4)), before);
  fill(during, mib(4), 3);
  EXPECT_TRUE(holds(during, mib(4), 3));
}

TEST_F(Quiescing, MovesNothingWhenAPerThreadStreamCannotBeSeen) {
  driver_.cuCtxRecordEvent = nullptr;
  Options made = patient();
  start(made);
  runtime_->per_thread_stream_used();
  (void)allocate(mib(14));
  busy_ = allocate(mib(8));
  EXPECT_TRUE(use_until(busy_, [&] { return stat(Stat::flips_abandoned_unseen) > 0; }));
  EXPECT_EQ(stat(Stat::flips), 0u);
}

TEST_F(Quiescing, FreezesWhenTheGpuReportsAnError) {
  make_pressure(patient());
  let_it_move();
  faults().stream_query.arm(0, 1'000'000, CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_TRUE(use_until(busy_, [&] { return stat(Stat::frozen) == 1; }));
  faults().stream_query.disarm();
  const std::uint64_t flips = stat(Stat::flips);
  all_bytes_are_right();
  for (int i = 0; i < 50; ++i) {
    runtime_->named(busy_);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(stat(Stat::flips), flips);
  const DeviceAddress more = allocate(mib(4));
  EXPECT_TRUE(runtime_->find(more).has_value());
  EXPECT_TRUE(runtime_->free(more).ok());
  EXPECT_TRUE(runtime_->free(idle_).ok());
}

// A program that waits for its work now and then is flipped right after it did.
TEST_F(Quiescing, ComesWhenTheApplicationHasWaited) {
  make_pressure(options(16, 64));
  let_it_move();
  EXPECT_TRUE(eventually([&] {
    const std::uint64_t before = stat(Stat::flips);
    const DeviceAddress next = stat(Stat::flips) % 2 == 0 ? busy_ : idle_;
    return use_until(next,
                     [&] {
                       EXPECT_CUDA(cuStreamSynchronize(stream_));
                       runtime_->quiet_point();
                       return stat(Stat::flips) > before;
                     }) &&
           stat(Stat::flips_at_quiet_points) > 0;
  }));
  all_bytes_are_right();
}

// One that did so once and never again is not waited for.
TEST_F(Quiescing, ComesWithoutAnotherWait) {
  make_pressure(options(16, 64));
  runtime_->quiet_point();
  let_it_move();
  EXPECT_TRUE(moves_in_the_end());
  EXPECT_EQ(stat(Stat::flips_at_quiet_points), 0u);
  all_bytes_are_right();
}

}  // namespace
}  // namespace vhbm
