// Belady's order with a price for moving, as a function of values.
#include "policies/next_use.h"

#include <gtest/gtest.h>

#include "candidates.h"

namespace vhbm {
namespace {

Candidate expected(Candidate one, std::uint64_t next, std::uint64_t after) {
  one.expected = {next, after};
  return one;
}

TEST(NextUse, EvictsWhatIsUsedAgainLast) {
  std::vector<Candidate> candidates = {expected(resident(1, 9), 5, 105),
                                       expected(resident(2, 9), 80, 180),
                                       expected(resident(3, 9), 20, 120)};
  Situation made = situation(candidates);
  made.must_leave = chunk * 2;
  EXPECT_EQ(ids(plan_next_use(made).evict), Ids({2, 3}));
}

TEST(NextUse, LeavesACycleAsItIs) {
  std::vector<Candidate> candidates;
  for (std::uint32_t i = 0; i < 30; ++i) {
    const Candidate one = i < 20 ? resident(i, 9) : host(i, 9);
    candidates.push_back(expected(one, 1 + i, 31 + i));
  }
  EXPECT_TRUE(plan_next_use(situation(candidates)).empty());
}

TEST(NextUse, BringsWhatIsUsedTwiceBeforeTheVictimIsUsedOnce) {
  std::vector<Candidate> candidates = {expected(resident(1, 9), 40, 240),
                                       expected(resident(2, 9), 300, 600),
                                       expected(host(3, 1), 10, 30), expected(host(4, 1), 20, 400)};
  const Plan plan = plan_next_use(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({3}));
  EXPECT_EQ(ids(plan.evict), Ids({2}));
}

TEST(NextUse, FillsFreeHbmWithWhatIsUsedMost) {
  std::vector<Candidate> candidates = {expected(host(1, 1), 10, 30), expected(host(2, 1), 5, 100),
                                       host(3, 8), host(4, 0)};
  Situation made = situation(candidates);
  made.free_hbm = chunk * 10;
  EXPECT_EQ(ids(plan_next_use(made).promote), Ids({1, 2, 3}));
}

TEST(NextUse, TakesTheUnexpectedForUsedLast) {
  std::vector<Candidate> candidates = {expected(resident(1, 9), 5, 105), resident(2, 99),
                                       resident(3, 50), expected(host(4, 1), 30, 60)};
  const Plan plan = plan_next_use(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({4}));
  EXPECT_EQ(ids(plan.evict), Ids({3}));
}

TEST(NextUse, GoesByTheLastUseWithoutAFuture) {
  const std::vector<Candidate> candidates = {resident(1, 5), resident(2, 3), resident(3, 9),
                                             host(4, 8), host(5, 1)};
  const Plan plan = plan_next_use(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({4}));
  EXPECT_EQ(ids(plan.evict), Ids({2}));
}

TEST(NextUse, NeverEvictsWhatIsHeld) {
  std::vector<Candidate> candidates = {resident(1, 1), expected(resident(2, 5), 9, 18)};
  candidates[0].held = true;
  Situation made = situation(candidates);
  made.must_leave = chunk * 2;
  EXPECT_EQ(ids(plan_next_use(made).evict), Ids({2}));
}

}  // namespace
}  // namespace vhbm
