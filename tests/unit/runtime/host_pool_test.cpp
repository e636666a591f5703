// Host memory that is page-locked ahead: when, how much, and at nobody's expense.
#include "test_gpu.h"

#include <thread>

namespace vhbm {
namespace {

class HostMemory : public PagerTest {
 protected:
  void start_with_pool(std::uint64_t hbm, std::uint64_t host, std::uint64_t pool) {
    Options made = options(hbm, host);
    made.host_pool = Size::of(mib(pool));
    start(made);
  }
  [[nodiscard]] Bytes host() const { return stat_bytes(Stat::host_bytes); }
};

TEST_F(HostMemory, IsNotLockedBeforeHbmFills) {
  start_with_pool(64, 64, 16);
  (void)allocate(mib(16));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(host(), mib(2)) << "the frame that was tried out at the start, and no more";
}

TEST_F(HostMemory, IsReadyOnceHbmIsNearlyFull) {
  start_with_pool(64, 64, 16);
  (void)allocate(mib(56));
  EXPECT_TRUE(eventually([&] { return host() >= mib(16); }));
  const std::uint64_t waited = stat(Stat::host_growth_ns);
  (void)allocate(mib(16));
  EXPECT_EQ(stat(Stat::host_growth_ns), waited) << "the allocation page-locked nothing itself";
}

TEST_F(HostMemory, NeverPassesItsLimitAndRefusesNobody) {
  start_with_pool(16, 8, 1024);
  for (int round = 0; round < 50; ++round) {
    const DeviceAddress all = allocate(mib(24));
    ASSERT_NE(all.value, 0u) << "round " << round;
    EXPECT_LE(host(), mib(8));
    ASSERT_TRUE(runtime_->free(all).ok());
  }
}

TEST_F(HostMemory, IsGivenBackWhenNothingNeedsItForAWhile) {
  Options made = options(16, 64);
  made.host_pool = Size::of(mib(16));
  made.host_idle = std::chrono::milliseconds(150);
  start(made);
  const DeviceAddress all = allocate(mib(48));
  ASSERT_NE(all.value, 0u);
  EXPECT_GE(host(), mib(32));
  ASSERT_TRUE(runtime_->free(all).ok());
  // All but the frame that was tried out at the start, and no sooner than that.
  EXPECT_TRUE(eventually([&] { return host() <= mib(2); }));
  const DeviceAddress again = allocate(mib(48));
  ASSERT_NE(again.value, 0u) << "and made anew when it is needed";
  ASSERT_TRUE(runtime_->free(again).ok());
}

}  // namespace
}  // namespace vhbm
