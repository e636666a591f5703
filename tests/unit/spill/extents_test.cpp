#include "runtime/spill/extents.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

TEST(Extents, TakesTheFirstHoleThatFits) {
  Extents extents(mib(16));
  const Extent first = *extents.take(mib(2)), second = *extents.take(mib(4));
  ASSERT_TRUE(extents.take(mib(2)).has_value());
  extents.give_back(first);
  extents.give_back(second);
  EXPECT_EQ(*extents.take(mib(5)), (Extent{{0}, mib(5)})) << "the two holes became one";
  EXPECT_EQ(*extents.take(mib(1)), (Extent{mib(5), mib(1)}));
  EXPECT_EQ(*extents.take(mib(1)), (Extent{mib(8), mib(1)}));
}

TEST(Extents, EndsWhereTheLastPartThatIsTakenEnds) {
  Extents extents(mib(16));
  const Extent first = *extents.take(mib(2)), second = *extents.take(mib(2)),
               third = *extents.take(mib(2));
  extents.give_back(second);
  EXPECT_EQ(extents.end(), mib(6));
  extents.give_back(third);
  EXPECT_EQ(extents.end(), mib(2)) << "with the hole before it";
  extents.give_back(first);
  EXPECT_EQ(extents.end(), Bytes{0});
  EXPECT_EQ(extents.taken(), Bytes{0});
}

TEST(Extents, GivesNothingBeyondTheLimit) {
  Extents extents(mib(4));
  ASSERT_TRUE(extents.take(mib(3)).has_value());
  EXPECT_FALSE(extents.take(mib(2)).has_value());
  EXPECT_TRUE(extents.take(mib(1)).has_value());
}

TEST(Extents, RoundsUpToWhatADiskTakesAtOnce) {
  Extents extents(mib(4));
  EXPECT_EQ(extents.take({1})->size, kib(4));
  EXPECT_EQ(extents.take({4097})->offset, kib(4));
}

}  // namespace
}  // namespace vhbm
