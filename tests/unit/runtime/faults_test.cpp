// Every driver call of a flip fails once at every point: the bytes are right and the next flip
// works.
#include "runtime/log.h"
#include "test_gpu.h"

namespace vhbm {
namespace {

struct FaultyCall {
  const char* name;
  Fault Faults::*fault;
};

class FaultyFlip : public PagerTest, public ::testing::WithParamInterface<FaultyCall> {};

TEST_P(FaultyFlip, KeepsEveryByteAndGoesOn) {
  start(16, 64);
  DeviceAddress regions[3];
  for (std::uint32_t i = 0; i < 3; ++i) {
    regions[i] = allocate(mib(10));
    fill(regions[i], mib(10), i);
  }
  Fault& fault = faults().*GetParam().fault;
  for (long nth = 0; nth < 12; ++nth) {
    fault.arm(nth, 1, CUDA_ERROR_INVALID_VALUE);
    // Use moves from region to region, so that there is always something to move.
    const auto use_all_until = [&](const std::function<bool()>& condition) {
      return eventually([&, use = 0]() mutable {
        runtime_->named(regions[use++ / 50 % 3]);
        return condition();
      });
    };
    EXPECT_TRUE(use_all_until([&] { return fault.failed == 1; })) << "call " << nth;
    fault.disarm();
    const Bytes before = stat_bytes(Stat::promoted_bytes);
    EXPECT_TRUE(use_all_until([&] { return stat_bytes(Stat::promoted_bytes) > before; }));
    for (std::uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(holds(regions[i], mib(10), i));
    EXPECT_EQ(stat_bytes(Stat::resident_bytes) + stat_bytes(Stat::host_mapped_bytes), mib(30));
  }
  EXPECT_EQ(stat(Stat::frozen), 0u);
  EXPECT_GE(stat(Stat::driver_errors), 12u);
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(16));
  for (const DeviceAddress region : regions) EXPECT_TRUE(runtime_->free(region).ok());
  // Nothing was lost on the way: all of both limits can be had again.
  const DeviceAddress all = allocate(mib(80));
  fill(all, mib(80), 9);
  EXPECT_TRUE(holds(all, mib(80), 9));
}

INSTANTIATE_TEST_SUITE_P(Each, FaultyFlip,
                         ::testing::Values(FaultyCall{"cuMemMap", &Faults::map},
                                           FaultyCall{"cuMemUnmap", &Faults::unmap},
                                           FaultyCall{"cuMemSetAccess", &Faults::access},
                                           FaultyCall{"cuMemcpyAsync", &Faults::copy}),
                         [](const auto& info) { return std::string(info.param.name); });

class Faulty : public PagerTest {};

TEST_F(Faulty, FreezesWhenNothingCanBeMappedAnyMoreAndTheProcessGoesOn) {
  start(16, 64);
  const DeviceAddress safe = allocate(mib(6)), other = allocate(mib(8)), busy = allocate(mib(4));
  fill(safe, mib(6), 1);
  fill(other, mib(8), 2);
  fill(busy, mib(4), 3);
  EXPECT_TRUE(eventually([&] {
    runtime_->named(safe);
    faults().map.arm(0, 1'000'000, CUDA_ERROR_UNKNOWN);
    faults().unmap.arm(1'000'000, 0, CUDA_SUCCESS);
    runtime_->named(busy);
    runtime_->named(safe);
    return stat(Stat::driver_errors) > 0;
  }));
  faults().map.disarm();
  // Either the frames' own addresses could not be had, which costs nothing, or a chunk is lost.
  EXPECT_TRUE(use_until(
      busy, [&] { return stat(Stat::frozen) == 1 || stat_bytes(Stat::promoted_bytes) >= mib(4); }));
  EXPECT_TRUE(holds(safe, mib(6), 1));
  { const auto pass = runtime_->gate().pass(); }
}

TEST_F(Faulty, RefusesToStartWhereNoHostFrameCanBeMade) {
  faults().create.arm(0, 1000, CUDA_ERROR_NOT_SUPPORTED);
  const auto started = Runtime::start(driver_, options(16, 16));
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.status().code(), Errc::unsupported);
  EXPECT_NE(started.status().message().find("host memory"), std::string::npos);
}

TEST_F(Faulty, TellsWhatGoesOnHappeningOnceAMinute) {
  set_log_level(LogLevel::warn);
  Seldom one, other;
  ::testing::internal::CaptureStderr();
  for (int i = 1; i <= 3; ++i) {
    one.warn("one, time {}", i);
    other.warn("other, time {}", i);
  }
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("one, time 1"), std::string::npos);
  EXPECT_NE(told.find("other, time 1"), std::string::npos);
  EXPECT_EQ(told.find("time 2"), std::string::npos) << told;
}

TEST_F(Faulty, RefusesToStartWithoutAContext) {
  ASSERT_CUDA(cuCtxSetCurrent(nullptr));
  const auto started = Runtime::start(driver_, options(16, 16));
  EXPECT_FALSE(started.ok());
  ASSERT_CUDA(cuCtxSetCurrent(context_));
}

}  // namespace
}  // namespace vhbm
