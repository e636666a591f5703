// Allocation and free: backing, limits, roll-back, reporting.
#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

class Allocation : public PagerTest {};

TEST_F(Allocation, IsBackedByHbmFirstAndByTheHostNext) {
  start(16, 32);
  const DeviceAddress region = allocate(mib(24));
  EXPECT_EQ(stat_bytes(Stat::resident_bytes), mib(14)) << "one chunk is kept for promotions";
  EXPECT_EQ(stat_bytes(Stat::host_mapped_bytes), mib(10));
  fill(region, mib(24), 1);
  EXPECT_TRUE(holds(region, mib(24), 1));
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(16));
}

TEST_F(Allocation, IsRefusedOnlyWhenBothLimitsAreReached) {
  start(16, 32);
  std::vector<DeviceAddress> regions;
  for (;;) {
    const auto made = runtime_->allocate(mib(2));
    if (!made.ok()) {
      EXPECT_EQ(made.status().code(), Errc::out_of_memory);
      break;
    }
    regions.push_back(*made);
  }
  EXPECT_EQ(regions.size(), 24u);
  EXPECT_EQ(stat(Stat::out_of_memory), 1u);
  EXPECT_EQ(stat_bytes(Stat::peak_hbm_bytes), mib(16));
  EXPECT_EQ(stat_bytes(Stat::host_bytes), mib(32));
  EXPECT_TRUE(runtime_->free(regions[5]).ok());
  EXPECT_TRUE(runtime_->allocate(mib(2)).ok());
}

TEST_F(Allocation, SharesTheHostLimitWithWhatTheProgramPageLocks) {
  start(16, 32);
  const DeviceAddress used = allocate(mib(28));  // 14 of it in host memory
  fill(used, mib(28), 5);
  runtime_->host_locked(mib(12));
  EXPECT_EQ(runtime_->allocate(mib(10)).status().code(), Errc::out_of_memory);
  const auto fits = runtime_->allocate(mib(8));
  ASSERT_TRUE(fits.ok());
  // More than the limit leaves takes nothing away, and gives nothing out.
  runtime_->host_locked(mib(100));
  EXPECT_EQ(stat_bytes(Stat::application_host_bytes), mib(112));
  EXPECT_EQ(runtime_->allocate(mib(2)).status().code(), Errc::out_of_memory);
  EXPECT_TRUE(holds(used, mib(28), 5));
  // Idle frames go back to the system.
  ASSERT_TRUE(runtime_->free(*fits).ok());
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::host_bytes) <= mib(14); }));
  runtime_->host_unlocked(mib(112));
  EXPECT_TRUE(runtime_->allocate(mib(20)).ok());
}

TEST_F(Allocation, BelowTheThresholdIsLeftToTheDriver) {
  start(16, 16);
  EXPECT_EQ(runtime_->allocate(kib(64)).status().code(), Errc::too_small);
  EXPECT_EQ(runtime_->allocate(Bytes{0}).status().code(), Errc::invalid_value);
  EXPECT_EQ(runtime_->allocate(gib(1) * 4096).status().code(), Errc::out_of_memory);
}

TEST_F(Allocation, ThatFailsPartWayLeavesNothingBehind) {
  start(16, 16);
  const Bytes all = mib(32);
  const auto fails = [&](Fault& fault, long nth, CUresult error) {
    fault.arm(nth, 1, error);
    const auto made = runtime_->allocate(all);
    EXPECT_EQ(made.status().code(), made.ok() ? Errc::ok : Errc::out_of_memory);
    const bool struck = fault.failed != 0;
    fault.disarm();
    if (made.ok()) {
      EXPECT_FALSE(struck);
      EXPECT_TRUE(runtime_->free(*made).ok());
    }
    EXPECT_EQ(stat(Stat::regions), 0u);
    EXPECT_EQ(stat(Stat::resident_bytes), 0u);
    EXPECT_EQ(stat(Stat::host_mapped_bytes), 0u);
    return struck;
  };
  // Each call that allocate() makes, until there is none left to fail.
  for (Fault* fault : {&faults().map, &faults().access}) {
    long nth = 0;
    while (fails(*fault, nth, CUDA_ERROR_INVALID_VALUE)) ++nth;
    EXPECT_GE(nth, 1);
  }
  EXPECT_GE(stat(Stat::driver_errors), 17u);
  const DeviceAddress region = allocate(all);
  fill(region, all, 3);
  EXPECT_TRUE(holds(region, all, 3));
}

TEST_F(Allocation, ThatTheDriverHasNoHbmForGoesToTheHost) {
  start(16, 32);
  faults().create.arm(0, 1, CUDA_ERROR_OUT_OF_MEMORY);
  const DeviceAddress region = allocate(mib(8));
  faults().create.disarm();
  EXPECT_EQ(stat_bytes(Stat::host_mapped_bytes), mib(8));
  fill(region, mib(8), 5);
  EXPECT_TRUE(holds(region, mib(8), 5));
}

TEST_F(Allocation, ReusesFramesAndAddressesOfWhatWasFreed) {
  start(16, 16);
  const DeviceAddress first = allocate(mib(24));
  faults().create.arm(0, 1000, CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_TRUE(runtime_->free(first).ok());
  EXPECT_EQ(stat(Stat::region_bytes), 0u);
  EXPECT_EQ(allocate(mib(24)), first);
  EXPECT_EQ(faults().create.failed, 0);
}

TEST_F(Allocation, IsFreedOnceAndByItsBaseOnly) {
  start(16, 16);
  const DeviceAddress region = allocate(mib(4));
  EXPECT_EQ(runtime_->free(region + mib(2)).code(), Errc::invalid_value);
  EXPECT_EQ(runtime_->free(DeviceAddress{4096}).code(), Errc::invalid_value);
  EXPECT_TRUE(runtime_->free(region).ok());
  EXPECT_EQ(runtime_->free(region).code(), Errc::invalid_value);
}

TEST_F(Allocation, IsFoundByAnyAddressInsideIt) {
  start(16, 16);
  const DeviceAddress region = allocate(mib(3));
  EXPECT_TRUE(runtime_->owns(region));
  EXPECT_FALSE(runtime_->owns(DeviceAddress{0}));
  for (const Bytes offset : {Bytes{0}, mib(1), mib(3) - Bytes{1}}) {
    const auto view = runtime_->find(region + offset);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->base, region);
    EXPECT_EQ(view->size, mib(3));
    EXPECT_EQ(view->device, device_);
    EXPECT_EQ(view->context, context_);
  }
  EXPECT_FALSE(runtime_->find(region + mib(3)).has_value());
  ASSERT_TRUE(runtime_->free(region).ok());
  EXPECT_FALSE(runtime_->find(region).has_value());
}

TEST_F(Allocation, WaitsForTheWorkInFlightWhenItIsFreed) {
  start(16, 16);
  const DeviceAddress region = allocate(mib(4));
  auto blockade = std::make_unique<Blockade>(stream_);
  EXPECT_CUDA(cuMemsetD8Async(region.value, 7, mib(4).value, stream_));
  std::atomic<bool> freed{false};
  std::thread application([&] {
    EXPECT_CUDA(cuCtxSetCurrent(context_));
    EXPECT_TRUE(runtime_->free(region).ok());
    freed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(freed);
  blockade.reset();
  application.join();
  EXPECT_CUDA(cuStreamSynchronize(stream_));
}

TEST_F(Allocation, IsReportedAsTheLimitLessWhatIsLive) {
  start(16, 32);
  EXPECT_EQ(runtime_->memory_info(device_).total, mib(16));
  EXPECT_EQ(runtime_->memory_info(device_).free, mib(16));
  const DeviceAddress region = allocate(mib(12));
  runtime_->native_allocated(kib(512));
  EXPECT_EQ(runtime_->memory_info(device_).free, mib(2));
  runtime_->native_freed(device_, kib(512));
  const DeviceAddress beyond = allocate(mib(20));
  EXPECT_EQ(runtime_->memory_info(device_).free, Bytes{0});
  ASSERT_TRUE(runtime_->free(region).ok());
  ASSERT_TRUE(runtime_->free(beyond).ok());
  EXPECT_EQ(runtime_->memory_info(device_).free, mib(16));
}

TEST_F(Allocation, IsReportedWithTheHostWhereThatIsAskedFor) {
  Options asked = options(16, 32);
  asked.report = Report::virtual_memory;
  start(asked);
  EXPECT_EQ(runtime_->memory_info(device_).total, mib(48));
  (void)allocate(mib(20));
  EXPECT_EQ(runtime_->memory_info(device_).free, mib(28));
}

TEST_F(Allocation, WorksInLargerChunks) {
  Options asked = options(32, 32);
  asked.chunk_size = Size::of(mib(8));
  start(asked);
  const DeviceAddress region = allocate(mib(42));
  EXPECT_EQ(stat_bytes(Stat::resident_bytes) + stat_bytes(Stat::host_mapped_bytes), mib(48));
  fill(region, mib(42), 9);
  EXPECT_TRUE(use_until(region, [&] { return stat(Stat::frozen) == 0; }));
  EXPECT_TRUE(holds(region, mib(42), 9));
  EXPECT_TRUE(runtime_->free(region).ok());
}

}  // namespace
}  // namespace vhbm
