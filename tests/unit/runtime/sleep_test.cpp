// Sleep and wake of a whole process: HBM goes and comes back, no byte does.
#include <algorithm>
#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

class Sleeping : public PagerTest {
 protected:
  static Bytes free_hbm() {
    std::size_t free = 0, total = 0;
    EXPECT_CUDA(cuMemGetInfo(&free, &total));
    return {free};
  }
  Status sleep(std::chrono::nanoseconds patience = 5s) {
    return Sleep::wait(runtime_->sleep().fall_asleep(patience), 20s);
  }
  [[nodiscard]] bool asleep() const { return stat(Stat::asleep) == 1; }
};

TEST_F(Sleeping, GivesHbmBackAndWakesWithTheFirstCopy) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  runtime_->named(region);
  const Bytes before = free_hbm();
  const Status slept = sleep();
  ASSERT_TRUE(slept.ok()) << slept.message();
  EXPECT_TRUE(asleep());
  EXPECT_GE(free_hbm(), before + mib(20));
  EXPECT_EQ(stat_bytes(Stat::left_bytes), mib(20));
  EXPECT_EQ(stat(Stat::hbm_bytes), 0u);
  EXPECT_TRUE(holds(region, mib(20), 1));
  EXPECT_FALSE(asleep());
  EXPECT_EQ(stat(Stat::wakes), 1u);
  // It was used right before, so it was there when work went on.
  EXPECT_EQ(stat_bytes(Stat::woken_bytes), mib(20));
  EXPECT_TRUE(eventually([&] { return stat(Stat::return_ns) != 0; }));
}

TEST_F(Sleeping, CleanChunksLeaveTheSecondTimeWithoutBeingCopied) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  ASSERT_TRUE(sleep().ok());
  EXPECT_TRUE(holds(region, mib(20), 1));
  const Bytes clean = stat_bytes(Stat::clean_evicted_bytes);
  fill(region + mib(8), mib(4), 2);
  ASSERT_TRUE(sleep().ok());
  EXPECT_EQ(stat_bytes(Stat::clean_evicted_bytes), clean + mib(16));
  EXPECT_TRUE(holds(region + mib(8), mib(4), 2));
  EXPECT_TRUE(holds(region, mib(8), 1));
}

TEST_F(Sleeping, WhatTheHostHasNoRoomForStays) {
  start(64, 8);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 3);
  ASSERT_TRUE(sleep().ok());
  EXPECT_EQ(stat_bytes(Stat::left_bytes), mib(8));
  EXPECT_EQ(stat_bytes(Stat::stayed_bytes), mib(12));
  EXPECT_TRUE(holds(region, mib(20), 3));
}

TEST_F(Sleeping, WhatTheDriverHasNoHostMemoryForStays) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 3);
  faults().create.arm(4, 1000, CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_TRUE(sleep().ok());
  faults().create.disarm();
  EXPECT_GT(stat_bytes(Stat::stayed_bytes), mib(0));
  EXPECT_EQ(stat_bytes(Stat::stayed_bytes) + stat_bytes(Stat::left_bytes), mib(20));
  EXPECT_TRUE(holds(region, mib(20), 3));
}

TEST_F(Sleeping, HeldRegionsStay) {
  Options rules = options(64, 128);
  rules.tag_rules.push_back({.min_size = mib(20), .max_size = mib(20), .tag = {}, .held = true});
  start(rules);
  const DeviceAddress held = allocate(mib(20)), other = allocate(mib(10));
  fill(held, mib(20), 1);
  fill(other, mib(10), 2);
  ASSERT_TRUE(sleep().ok());
  EXPECT_EQ(stat_bytes(Stat::stayed_bytes), mib(20));
  EXPECT_EQ(stat_bytes(Stat::left_bytes), mib(10));
  EXPECT_TRUE(holds(held, mib(20), 1));
  EXPECT_TRUE(holds(other, mib(10), 2));
}

TEST_F(Sleeping, IsGivenUpWhileWorkDoesNotEnd) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 4);
  {
    const Blockade blockade(stream_);
    const Status slept = sleep(100ms);
    EXPECT_EQ(slept.code(), Errc::abandoned);
    EXPECT_EQ(slept.message(), "its GPU work does not end");
    const auto pass = runtime_->gate().pass();
  }
  EXPECT_FALSE(asleep());
  EXPECT_TRUE(holds(region, mib(20), 4));
}

TEST_F(Sleeping, IsGivenUpWhileAStreamIsCaptured) {
  start(64, 128);
  fill(allocate(mib(20)), mib(20), 4);
  runtime_->capture_began();
  const Status slept = sleep(50ms);
  runtime_->capture_ended();
  EXPECT_EQ(slept.code(), Errc::abandoned);
  EXPECT_EQ(slept.message(), "a stream is being captured");
  EXPECT_TRUE(sleep().ok());
}

TEST_F(Sleeping, WakesIntoWhatOthersLeft) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 5);
  ASSERT_TRUE(sleep().ok());
  // Somebody else takes all but a little.
  CUdeviceptr taken = 0;
  const Bytes rest = saturating_minus(free_hbm(), mib(10));
  ASSERT_CUDA(cuMemAlloc(&taken, rest.value));
  EXPECT_TRUE(holds(region, mib(20), 5));
  EXPECT_LE(stat_bytes(Stat::woken_bytes), mib(10));
  EXPECT_CUDA(cuMemFree(taken));
  EXPECT_TRUE(use_until(region, [&] { return stat_bytes(Stat::resident_bytes) == mib(20); }));
  EXPECT_TRUE(holds(region, mib(20), 5));
}

TEST_F(Sleeping, WithoutEvidenceNothingIsWaitedFor) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  ASSERT_TRUE(sleep().ok());
  ASSERT_TRUE(Sleep::wait(runtime_->sleep().wake(), 5s).ok());
  EXPECT_EQ(stat(Stat::woken_bytes), 0u);
  EXPECT_TRUE(use_until(region, [&] { return stat_bytes(Stat::resident_bytes) == mib(20); }));
}

TEST_F(Sleeping, FallsAsleepWhenIdle) {
  Options idle = options(64, 128);
  idle.idle_seconds = {700ms};
  start(idle);
  const DeviceAddress region = allocate(mib(4));
  fill(region, mib(4), 6);
  // As long as it is used it stays awake.
  const std::uint64_t before = stat(Stat::sleeps);
  const auto until = std::chrono::steady_clock::now() + 1s;
  EXPECT_TRUE(use_until(region, [&] { return std::chrono::steady_clock::now() > until; }));
  EXPECT_EQ(stat(Stat::sleeps), before);
  EXPECT_TRUE(eventually([&] { return asleep(); }));
  EXPECT_TRUE(holds(region, mib(4), 6));
}

TEST_F(Sleeping, IsNotIdleWhileAThreadWaits) {
  Options idle = options(64, 128);
  idle.idle_seconds = {200ms};
  start(idle);
  runtime_->wait_begins();
  const DeviceAddress region = allocate(mib(4));
  fill(region, mib(4), 6);
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(stat(Stat::sleeps), 0u);
  runtime_->wait_ends();
  EXPECT_TRUE(eventually([&] { return asleep(); }));
  EXPECT_TRUE(holds(region, mib(4), 6));
}

TEST_F(Sleeping, GivesUpAsMuchHbmAsIsAskedFor) {
  Options alone = options(64, 128);
  alone.pager_interval = 1h;  // or it would fill it again
  start(alone);
  const DeviceAddress cold = allocate(mib(20)), hot = allocate(mib(20));
  fill(cold, mib(20), 7);
  fill(hot, mib(20), 8);
  const Bytes before = free_hbm();
  const auto asked = runtime_->sleep().leave(device_, mib(10));
  ASSERT_TRUE(Sleep::wait(asked, 20s).ok());
  EXPECT_EQ(asked->moved(), mib(10));
  EXPECT_EQ(free_hbm(), before + mib(10));
  EXPECT_TRUE(holds(cold, mib(20), 7));
  EXPECT_TRUE(holds(hot, mib(20), 8));
}

// Also what was outside when it fell asleep: one flip brings more while it comes back.
TEST_F(Sleeping, ComesBackIntoAllTheRoomThereIs) {
  Options small = options(96, 192);
  small.flip_size = Size::of(mib(2));
  start(small);
  const DeviceAddress cold = allocate(mib(80)), hot = allocate(mib(8));
  fill(cold, mib(80), 7);
  fill(hot, mib(8), 8);
  // For longer than what counts as one step, or waking would bring both back.
  const auto until = std::chrono::steady_clock::now() + 2s;
  EXPECT_TRUE(use_until(hot, [&] { return std::chrono::steady_clock::now() > until; }));
  ASSERT_TRUE(Sleep::wait(runtime_->sleep().leave(device_, mib(80)), 20s).ok());
  ASSERT_TRUE(sleep().ok());
  const std::uint64_t before = stat(Stat::flips);
  EXPECT_TRUE(holds(hot, mib(8), 8));
  EXPECT_TRUE(use_until(hot, [&] { return stat_bytes(Stat::resident_bytes) == mib(88); }));
  EXPECT_LE(stat(Stat::flips) - before, 5u);
  EXPECT_TRUE(holds(cold, mib(80), 7));
}

TEST_F(Sleeping, AHeldSleepKeepsWorkWaiting) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 9);
  ASSERT_TRUE(Sleep::wait(runtime_->sleep().fall_asleep(1s, 100ms), 5s).ok());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(holds(region, mib(20), 9));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
}

TEST_F(Sleeping, TheEndOfTheRuntimeLetsWorkThrough) {
  start(64, 128);
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 9);
  ASSERT_TRUE(Sleep::wait(runtime_->sleep().fall_asleep(1s, 60s), 5s).ok());
  runtime_->stop();
  EXPECT_TRUE(holds(region, mib(20), 9));
}

TEST_F(Sleeping, AllocatesAndFreesWhileAsleep) {
  start(64, 128);
  const DeviceAddress first = allocate(mib(20)), second = allocate(mib(20));
  fill(first, mib(20), 1);
  fill(second, mib(20), 2);
  ASSERT_TRUE(sleep().ok());
  EXPECT_TRUE(runtime_->free(first).ok());
  const DeviceAddress third = allocate(mib(30));
  EXPECT_TRUE(asleep());
  fill(third, mib(30), 3);
  EXPECT_TRUE(holds(second, mib(20), 2));
  EXPECT_TRUE(holds(third, mib(30), 3));
}

TEST_F(Sleeping, KeepsEveryByteWhileOthersSubmit) {
  start(64, 128);
  std::vector<DeviceAddress> regions;
  for (std::uint32_t i = 0; i < 3; ++i) {
    regions.push_back(allocate(mib(4)));
    fill(regions.back(), mib(4), i);
  }
  std::atomic<bool> done{false};
  std::vector<std::thread> submitters;
  for (std::uint32_t i = 0; i < 2; ++i) {
    submitters.emplace_back([&, i] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      for (std::uint32_t round = 0; !done; ++round) {
        if (round % 8 == 0) std::this_thread::sleep_for(3ms);
        fill(regions[i], mib(4), round);
        EXPECT_TRUE(holds(regions[i], mib(4), round));
      }
    });
  }
  std::size_t slept = 0;
  for (int i = 0; i < 40 && slept < 3; ++i) {
    // Called back at once, or held for a while.
    const auto hold = i % 2 == 0 ? 0ms : 500ms;
    const auto asked = runtime_->sleep().fall_asleep(100ms, hold);
    if (!Sleep::wait(asked, 20s).ok()) continue;
    ++slept;
    EXPECT_TRUE(Sleep::wait(runtime_->sleep().wake(), 20s).ok());
  }
  done = true;
  for (std::thread& one : submitters) one.join();
  EXPECT_GE(slept, 1u);
  EXPECT_TRUE(holds(regions[2], mib(4), 2));
  EXPECT_EQ(stat(Stat::frozen), 0u);
}

}  // namespace
}  // namespace vhbm
