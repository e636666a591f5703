// Host copies taken ahead of evictions, and kept after promotions: they save copying while they
// hold, and are found out when they do not.
#include "two_regions.h"

#include <thread>

namespace vhbm {
namespace {

class HostCopies : public TwoRegions {};

TEST_F(HostCopies, SaveTheCopyOfWhatIsNotWritten) {
  make_pressure(options(16, 64));
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_GT(stat(Stat::precopied_bytes), 0u);
  EXPECT_EQ(stat(Stat::recopied_bytes), 0u);
  EXPECT_EQ(stat(Stat::clean_evicted_bytes), stat(Stat::evicted_bytes));
  EXPECT_GT(stat(Stat::clean_evicted_bytes), stat(Stat::precopied_bytes))
      << "what came back left again without a new copy";
  EXPECT_TRUE(holds(first_, mib(12), 1));
  EXPECT_TRUE(holds(second_, mib(12), 2));
}

TEST_F(HostCopies, AreFoundOutWhenTheChunkChanged) {
  make_pressure(options(16, 64));
  EXPECT_TRUE(go_back_and_forth());
  fill(first_, mib(12), 3);
  EXPECT_TRUE(bring(second_));
  EXPECT_GE(stat_bytes(Stat::recopied_bytes), mib(8));
  EXPECT_TRUE(holds(first_, mib(12), 3));
  EXPECT_TRUE(bring(first_));
  EXPECT_TRUE(holds(first_, mib(12), 3));
  EXPECT_TRUE(holds(second_, mib(12), 2));
}

TEST_F(HostCopies, AreFoundOutWhenOneByteChanged) {
  make_pressure(options(16, 64));
  EXPECT_TRUE(go_back_and_forth());
  const unsigned char byte = 0x5a;
  const DeviceAddress inside = first_ + Bytes{mib(5).value + 77};
  {
    const auto pass = runtime_->gate().pass();
    EXPECT_CUDA(cuMemcpyHtoD(inside.value, &byte, 1));
  }
  EXPECT_TRUE(bring(second_));
  EXPECT_EQ(stat_bytes(Stat::recopied_bytes), mib(2));
  unsigned char seen = 0;
  const auto pass = runtime_->gate().pass();
  EXPECT_CUDA(cuMemcpyDtoH(&seen, inside.value, 1));
  EXPECT_EQ(seen, byte);
}

TEST_F(HostCopies, GiveWayToAllocations) {
  make_pressure(options(16, 24));
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_GT(stat(Stat::clean_copy_bytes), 0u);
  const DeviceAddress third = allocate(mib(14));
  fill(third, mib(14), 3);
  EXPECT_LE(stat_bytes(Stat::host_bytes), mib(24));
  EXPECT_TRUE(bring(second_));
  EXPECT_TRUE(holds(first_, mib(12), 1));
  EXPECT_TRUE(holds(second_, mib(12), 2));
  EXPECT_TRUE(holds(third, mib(14), 3));
}

TEST_F(HostCopies, AreNotNeeded) {
  driver_.cuModuleLoadData = nullptr;
  make_pressure(options(16, 64));
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_EQ(stat(Stat::precopied_bytes), 0u);
  EXPECT_EQ(stat(Stat::clean_evicted_bytes), 0u);
  EXPECT_TRUE(holds(first_, mib(12), 1));
  EXPECT_TRUE(holds(second_, mib(12), 2));
}

TEST_F(HostCopies, AreNotTakenAheadWhenToldSo) {
  Options made = options(16, 64);
  made.precopy = false;
  make_pressure(made);
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_EQ(stat(Stat::precopied_bytes), 0u);
  EXPECT_TRUE(holds(first_, mib(12), 1));
}

TEST_F(HostCopies, GoWithTheirRegion) {
  make_pressure(options(16, 64));
  EXPECT_TRUE(go_back_and_forth());
  ASSERT_TRUE(runtime_->free(first_).ok());
  ASSERT_TRUE(runtime_->free(second_).ok());
  EXPECT_EQ(stat(Stat::clean_copy_bytes), 0u);
  EXPECT_EQ(stat(Stat::host_mapped_bytes), 0u);
}

}  // namespace
}  // namespace vhbm
