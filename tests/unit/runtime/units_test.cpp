#include "runtime/units.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

TEST(Bytes, RoundUpToAUnit) {
  EXPECT_EQ(Bytes{0}.rounded_up_to(mib(2)), Bytes{0});
  EXPECT_EQ(Bytes{1}.rounded_up_to(mib(2)), mib(2));
  EXPECT_EQ(mib(2).rounded_up_to(mib(2)), mib(2));
}

TEST(Bytes, NeverWrapWhenTakenAwaySaturating) {
  EXPECT_EQ(saturating_minus(mib(1), mib(2)), Bytes{0});
  EXPECT_EQ(saturating_minus(mib(3), mib(2)), mib(1));
}

TEST(DeviceAddress, DiffersFromAnotherByBytes) {
  const DeviceAddress base{0x7000'0000};
  EXPECT_EQ((base + mib(4)) - base, mib(4));
  EXPECT_LT(base, base + Bytes{1});
}

}  // namespace
}  // namespace vhbm
