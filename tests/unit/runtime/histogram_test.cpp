#include "runtime/histogram.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

TEST(Histogram, AnswersZeroWithoutValues) {
  EXPECT_EQ(Histogram().percentile(99), 0u);
}

TEST(Histogram, FindsPercentilesToAnEighth) {
  Histogram histogram;
  for (std::uint64_t i = 1; i <= 100'000; ++i) histogram.add(i * 1000);
  for (const unsigned percent : {1u, 50u, 90u, 99u, 100u}) {
    const std::uint64_t exact = std::uint64_t{percent} * 1'000'000;
    EXPECT_GE(histogram.percentile(percent), exact) << percent;
    EXPECT_LE(histogram.percentile(percent), exact + exact / 8) << percent;
  }
}

TEST(Histogram, IsExactForSmallValuesAndTakesTheLargest) {
  Histogram histogram;
  histogram.add(3);
  EXPECT_EQ(histogram.percentile(50), 3u);
  histogram.add(~std::uint64_t{0});
  EXPECT_EQ(histogram.percentile(100), ~std::uint64_t{0});
}

TEST(Histogram, NeverSaysMoreThanTheLargest) {
  Histogram histogram;
  histogram.add(1'000'000);
  EXPECT_EQ(histogram.percentile(99), 1'000'000u);
}

}  // namespace
}  // namespace vhbm
