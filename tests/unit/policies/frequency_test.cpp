// How often counts, and not how lately.
#include "policies/frequency.h"

#include <gtest/gtest.h>

#include "candidates.h"

namespace vhbm {
namespace {

Candidate used(Candidate one, std::uint64_t frequency) {
  one.frequency = frequency;
  return one;
}

TEST(Frequency, ExchangesTheRareForTheFrequent) {
  const std::vector<Candidate> candidates = {used(resident(1, 99), 2), used(resident(2, 1), 50),
                                             used(host(3, 5), 40)};
  const Plan plan = plan_frequency(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({3}));
  EXPECT_EQ(ids(plan.evict), Ids({1}));
}

TEST(Frequency, IsNotMovedByAScan) {
  std::vector<Candidate> candidates = {used(resident(1, 1), 100), used(resident(2, 1), 100)};
  for (std::uint32_t i = 10; i < 50; ++i) candidates.push_back(used(host(i, 1000 + i), 1));
  EXPECT_TRUE(plan_frequency(situation(candidates)).empty());
}

TEST(Frequency, DoesNotChaseSmallDifferences) {
  const std::vector<Candidate> candidates = {used(resident(1, 1), 10), used(host(2, 9), 19)};
  EXPECT_TRUE(plan_frequency(situation(candidates)).empty());
}

TEST(Frequency, LetsTheRarestGoFirst) {
  const std::vector<Candidate> candidates = {used(resident(1, 9), 7), used(resident(2, 8), 3),
                                             used(resident(3, 7), 3)};
  Situation made = situation(candidates);
  made.must_leave = chunk * 2;
  EXPECT_EQ(ids(plan_frequency(made).evict), Ids({3, 2}));
}

TEST(Frequency, NeverPromotesWhatWasNeverUsed) {
  const std::vector<Candidate> candidates = {used(host(1, 0), 0), used(host(2, 3), 1)};
  Situation made = situation(candidates);
  made.free_hbm = chunk * 5;
  EXPECT_EQ(ids(plan_frequency(made).promote), Ids({2}));
}

}  // namespace
}  // namespace vhbm
