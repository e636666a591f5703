// Figures and verdicts from figures that are given, never timed.
#include "tools/bench/comparison.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vhbm::bench {
namespace {

using Run = Comparison::Run;

// As Google Benchmark writes it.
std::string figures(bool paged, double launch_ns, double allocation_ns) {
  const nlohmann::json launch{
      {"name", "cuLaunchKernel, few"}, {"cpu_time", launch_ns}, {"real_time", 9e9}};
  const nlohmann::json allocation{
      {"name", "cuMemAlloc/real_time"}, {"cpu_time", 0.0}, {"real_time", allocation_ns}};
  return nlohmann::json{{"context", {{"paged", paged ? "yes" : "no"}}},
                        {"benchmarks", {launch, allocation}}}
      .dump();
}

Comparison three_rounds(double most_added) {
  Comparison comparison(most_added);
  std::string why_not;
  for (const double noise : {1.0, 500.0, 0.0}) {
    EXPECT_TRUE(comparison.add("fake", Run::native, figures(false, 10 + noise, 20), &why_not));
    EXPECT_TRUE(
        comparison.add("fake", Run::with_vhbm, figures(true, 70 + 2 * noise, 60), &why_not));
  }
  return comparison;
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoMiddleOnes) {
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({9, 1, 5, 7}), 6);
  EXPECT_EQ(median({}), 0);
}

TEST(Comparison, TakesTheLeastDisturbedRoundAndTellsTheMedian) {
  const Comparison comparison = three_rounds(100);
  ASSERT_EQ(comparison.rows().size(), 2u);
  const Row& launch = comparison.rows()[0];
  EXPECT_EQ(launch.native(), 10);
  EXPECT_EQ(launch.with_vhbm(), 70);
  EXPECT_EQ(launch.added(), 60);
  EXPECT_EQ(launch.median_added(), 61);
}

TEST(Comparison, ReadsTheClockWhereTheCallMayWait) {
  const Row allocation = three_rounds(100).rows()[1];
  EXPECT_EQ(allocation.call, "cuMemAlloc");
  EXPECT_EQ(allocation.native(), 20);
  EXPECT_EQ(allocation.ratio(), 3);
}

TEST(Comparison, JudgesLaunchesOnlyAndByTheLimit) {
  for (const double limit : {61.0, 60.0}) {
    const auto calls = nlohmann::json::parse(three_rounds(limit).to_json())["calls"];
    EXPECT_EQ(calls[0]["within_limit"], limit == 61.0);
    EXPECT_FALSE(calls[1].contains("within_limit"));
  }
}

TEST(Comparison, RefusesARunInWhichVhbmIsNotWhereItShouldBe) {
  Comparison comparison(100);
  std::string why_not;
  EXPECT_FALSE(comparison.add("fake", Run::with_vhbm, figures(false, 1, 1), &why_not));
  EXPECT_NE(why_not.find("did not take part"), std::string::npos);
  EXPECT_FALSE(comparison.add("fake", Run::native, figures(true, 1, 1), &why_not));
  EXPECT_NE(why_not.find("native run"), std::string::npos);
  EXPECT_FALSE(comparison.add("fake", Run::native, "", &why_not));
  EXPECT_NE(why_not.find("no figures"), std::string::npos);
  EXPECT_TRUE(comparison.rows().empty());
}

}  // namespace
}  // namespace vhbm::bench
