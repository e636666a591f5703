// Paging: what is used comes, what is not goes, and no byte changes on the way.
#include "test_gpu.h"

#include <thread>

namespace vhbm {
namespace {

class Paging : public PagerTest {};

TEST_F(Paging, BringsWhatIsUsedAndKeepsEveryByte) {
  start(16, 64);
  const DeviceAddress idle = allocate(mib(14));
  const DeviceAddress busy = allocate(mib(12));
  fill(idle, mib(14), 1);
  fill(busy, mib(12), 2);
  EXPECT_TRUE(use_until(busy, [&] { return stat_bytes(Stat::promoted_bytes) >= mib(12); }));
  EXPECT_GE(stat_bytes(Stat::evicted_bytes), mib(12));
  EXPECT_GE(stat(Stat::flips), 1u);
  EXPECT_TRUE(holds(idle, mib(14), 1));
  EXPECT_TRUE(holds(busy, mib(12), 2));
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(16));
  EXPECT_EQ(stat_bytes(Stat::resident_bytes) + stat_bytes(Stat::host_mapped_bytes), mib(26));
  EXPECT_GT(stat(Stat::stall_ns), 0u);
  EXPECT_GT(stat(Stat::named_in_place_bytes), 0u);
}

TEST_F(Paging, KeepsNothingFreeForWhatIsToComeWhereAllFits) {
  start(16, 64);
  std::vector<DeviceAddress> regions;
  for (std::uint32_t i = 0; i < 2; ++i) {
    regions.push_back(allocate(mib(8)));
    fill(regions.back(), mib(8), i);
  }
  const auto all_is_in_hbm = [&] { return stat(Stat::host_mapped_bytes) == 0; };
  EXPECT_TRUE(use_until(regions[1], all_is_in_hbm));
  const std::uint64_t evicted = stat(Stat::evicted_bytes);
  EXPECT_TRUE(use_until(regions[0], [&, uses = 0]() mutable { return ++uses == 100; }));
  EXPECT_EQ(stat(Stat::evicted_bytes), evicted) << "and stays there";
  // Once something is outside for good, room is kept for it.
  const DeviceAddress more = allocate(mib(8));
  fill(more, mib(8), 2);
  EXPECT_TRUE(use_until(more, [&] { return stat_bytes(Stat::host_mapped_bytes) >= mib(10); }));
  for (std::uint32_t i = 0; i < 2; ++i) EXPECT_TRUE(holds(regions[i], mib(8), i));
  EXPECT_TRUE(holds(more, mib(8), 2));
}

TEST_F(Paging, GoesBackAndForthManyTimes) {
  start(16, 64);
  std::vector<DeviceAddress> regions;
  for (std::uint32_t i = 0; i < 4; ++i) {
    regions.push_back(allocate(mib(10)));
    fill(regions.back(), mib(10), i);
  }
  // Of four regions HBM holds less than two: the next one in turn is never there when it is used.
  EXPECT_TRUE(use_until(regions[3], [&, uses = 0]() mutable { return ++uses == 200; }));
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const Bytes before = stat_bytes(Stat::promoted_bytes);
      EXPECT_TRUE(use_until(regions[i],
                            [&] { return stat_bytes(Stat::promoted_bytes) >= before + mib(6); }))
          << "round " << round << " region " << i;
      for (std::uint32_t j = 0; j < 4; ++j) EXPECT_TRUE(holds(regions[j], mib(10), j));
    }
  }
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(16));
  EXPECT_EQ(stat(Stat::driver_errors), 0u);
}

TEST_F(Paging, MovesTheTouchedChunksOfARegionOnly) {
  start(16, 64);
  (void)allocate(mib(14));
  const DeviceAddress region = allocate(mib(20));
  EXPECT_TRUE(eventually([&] {
    runtime_->touched(region + mib(6), mib(1));
    runtime_->touched(region + mib(13), mib(2));
    return stat_bytes(Stat::promoted_bytes) >= mib(6);
  }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(stat_bytes(Stat::promoted_bytes), mib(6));
}

TEST_F(Paging, FillsHbmThatBecameFree) {
  start(16, 64);
  const DeviceAddress first = allocate(mib(14));
  const DeviceAddress second = allocate(mib(12));
  ASSERT_TRUE(runtime_->free(first).ok());
  fill(second, mib(12), 4);
  EXPECT_TRUE(use_until(second, [&] { return stat(Stat::host_mapped_bytes) == 0; }));
  EXPECT_EQ(stat(Stat::evicted_bytes), 0u);
  EXPECT_TRUE(holds(second, mib(12), 4));
}

TEST_F(Paging, LeavesAloneWhatIsAllInHbm) {
  start(64, 64);
  const DeviceAddress region = allocate(mib(32));
  fill(region, mib(32), 1);
  for (int i = 0; i < 50; ++i) {
    runtime_->named(region);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(stat(Stat::flips), 0u);
  EXPECT_EQ(stat(Stat::stall_ns), 0u);
}

TEST_F(Paging, MakesRoomForNativeMemory) {
  start(16, 64);
  const DeviceAddress region = allocate(mib(14));
  fill(region, mib(14), 8);
  runtime_->native_allocated(mib(5));
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::hbm_bytes) <= mib(16); }));
  EXPECT_EQ(stat_bytes(Stat::native_bytes), mib(5));
  EXPECT_TRUE(holds(region, mib(14), 8));
  runtime_->native_freed(device_, mib(5));
  EXPECT_TRUE(use_until(region, [&] { return stat(Stat::host_mapped_bytes) == 0; }));
  EXPECT_TRUE(holds(region, mib(14), 8));
}

// The driver has not taken the block that a small allocation begins while room is made for it.
TEST_F(Paging, CountsNativeMemoryOnceThereIsRoomForIt) {
  start(16, 64);
  (void)allocate(mib(14));
  runtime_->native_allocated(mib(2));
  std::jthread publishing([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) runtime_->native_freed(device_, Bytes{0});
  });
  runtime_->native_allocated(kib(4));
  EXPECT_GT(stat(Stat::evicted_bytes), 0u);
  publishing.request_stop();
  publishing.join();
  EXPECT_EQ(stat_bytes(Stat::hbm_bytes), mib(16));
  EXPECT_EQ(stat_bytes(Stat::peak_hbm_bytes), mib(16));
}

TEST_F(Paging, WorksWithoutAWayToAskWholeContexts) {
  driver_.cuCtxRecordEvent = nullptr;
  start(16, 64);
  (void)allocate(mib(14));
  const DeviceAddress busy = allocate(mib(8));
  fill(busy, mib(8), 2);
  EXPECT_TRUE(use_until(busy, [&] { return stat_bytes(Stat::promoted_bytes) >= mib(8); }));
  EXPECT_TRUE(holds(busy, mib(8), 2));
}

TEST_F(Paging, KeepsTheGateOpenMostOfTheTime) {
  Options made = options(16, 64);
  made.stall_limit = Percent{10};
  start(made);
  const DeviceAddress a = allocate(mib(14)), b = allocate(mib(14));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; std::chrono::steady_clock::now() - begin < std::chrono::seconds(1); ++i) {
    runtime_->named(i / 20 % 2 == 0 ? a : b);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - begin;
  const std::uint64_t allowed = static_cast<std::uint64_t>(spent.count()) / 10;
  EXPECT_GT(stat(Stat::flips), 1u);
  EXPECT_LE(stat(Stat::stall_ns), allowed + stat(Stat::stall_max_ns));
}

// A flip of 2 MiB takes so much of the rate that the next one never comes.
TEST_F(Paging, CopiesNoMoreThanItsRate) {
  Options made = options(16, 64);
  made.flip_size = Size::of(mib(2));
  made.precopy = false;
  made.copy_rate = Rate{mib(2).value / 3600};
  start(made);
  (void)allocate(mib(14));
  const DeviceAddress busy = allocate(mib(8));
  fill(busy, mib(8), 2);
  EXPECT_TRUE(use_until(busy, [&] { return stat(Stat::flips) != 0; }));
  for (int i = 0; i < 50; ++i) {
    runtime_->named(busy);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(stat(Stat::flips), 1u);
  EXPECT_LE(stat_bytes(Stat::promoted_bytes), mib(2));
  EXPECT_TRUE(holds(busy, mib(8), 2));
}

TEST_F(Paging, CountsLaunches) {
  start(16, 16);
  for (int i = 0; i < 100; ++i) runtime_->launched();
  EXPECT_TRUE(eventually([&] { return stat(Stat::launches) == 100; }));
}

}  // namespace
}  // namespace vhbm
