// What is told of memory, and what may be held: of a device of 80 GiB.
#include "runtime/memory_report.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

constexpr Bytes device = gib(80);
constexpr Bytes host = gib(100);

MemoryInfo told(const Options& options, Bytes live = {}, Bytes free = device) {
  return memory_told(options, device, capacity_of(options, device, free, host), live);
}

TEST(MemoryReport, IsTheDeviceWhereNothingIsSet) {
  const Options options;
  EXPECT_FALSE(tells_other_total(options));
  EXPECT_EQ(told(options).total, device);
  EXPECT_EQ(told(options).free, gib(76));  // less a twentieth, for what is native
  EXPECT_EQ(told(options, gib(6)).free, gib(70));
  EXPECT_EQ(told(options, {}, gib(10)).free, gib(10));
}

TEST(MemoryReport, IsTheLimitWhereThereIsOne) {
  Options options;
  options.hbm_limit = Size::of(gib(20));
  EXPECT_TRUE(tells_other_total(options));
  EXPECT_EQ(told(options, gib(5)).total, gib(20));
  EXPECT_EQ(told(options, gib(5)).free, gib(15));
  EXPECT_EQ(told(options, gib(5)).live, gib(5));
  EXPECT_EQ(told(options, gib(30)).free, Bytes{0});
  EXPECT_EQ(told(options, {}, gib(1)).free, gib(20)) << "moved by neighbours";
  options.hbm_limit = Size::percent(50);
  EXPECT_EQ(told(options).total, gib(40));
}

TEST(MemoryReport, NeverExceedsTheDevice) {
  Options options;
  options.hbm_limit = Size::of(gib(200));
  EXPECT_EQ(told(options).total, device);
  EXPECT_EQ(told(options).free, device);
}

TEST(MemoryReport, AddsTheHostsShareWhereItIsVirtual) {
  Options options;
  options.report = Report::virtual_memory;
  options.host_limit = Size::of(gib(8));
  EXPECT_TRUE(tells_other_total(options));
  EXPECT_EQ(told(options).total, gib(88));
  EXPECT_EQ(told(options).free, gib(84));
  options.hbm_limit = Size::of(gib(20));
  options.host_limit = Size::automatic();
  EXPECT_EQ(told(options, gib(30)).total, gib(70));
  EXPECT_EQ(told(options, gib(30)).free, gib(40));
}

TEST(MemoryReport, IsNotMovedByTheHostsLimitAlone) {
  Options options;
  options.host_limit = Size::of(gib(8));
  EXPECT_FALSE(tells_other_total(options));
  EXPECT_EQ(told(options).total, device);
}

}  // namespace
}  // namespace vhbm
