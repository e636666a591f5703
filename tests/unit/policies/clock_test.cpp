// Clock, as a function of values.
#include "policies/clock.h"

#include <gtest/gtest.h>

#include "candidates.h"

namespace vhbm {
namespace {

TEST(Clock, TakesWhatWasNotUsedSinceTheSweepBegan) {
  const std::vector<Candidate> candidates = {resident(1, 12), resident(2, 3), resident(3, 11),
                                             resident(4, 9), host(5, 15)};
  Situation made = situation(candidates);
  made.now = 15;
  made.memory.sweep = 10;
  const Plan plan = plan_clock(made);
  EXPECT_EQ(ids(plan.promote), Ids({5}));
  EXPECT_EQ(ids(plan.evict), Ids({2})) << "the first in the hand's way, not the oldest of all";
  EXPECT_EQ(plan.memory.hand.value, 3u);
  EXPECT_EQ(plan.memory.sweep, 10u);
}

TEST(Clock, GoesOnWhereTheHandStands) {
  const std::vector<Candidate> candidates = {resident(1, 1), resident(2, 1), resident(3, 1),
                                             host(5, 15)};
  Situation made = situation(candidates);
  made.now = 15;
  made.memory = {{3}, 10, false};
  EXPECT_EQ(ids(plan_clock(made).evict), Ids({3}));
}

TEST(Clock, GivesEveryoneASecondChanceFirst) {
  const std::vector<Candidate> candidates = {resident(1, 12), resident(2, 13), host(5, 20)};
  Situation made = situation(candidates);
  made.now = 20;
  made.memory.sweep = 10;
  const Plan first = plan_clock(made);
  EXPECT_TRUE(first.evict.empty());
  EXPECT_EQ(first.memory.sweep, 20u);
  // Not used since: now they go.
  made.memory = first.memory;
  made.now = 21;
  EXPECT_EQ(ids(plan_clock(made).evict), Ids({1}));
}

TEST(Clock, SparesNobodyOfWhatHasToLeaveAndNeverTheHeld) {
  std::vector<Candidate> candidates = {resident(1, 12), resident(2, 13), resident(3, 13)};
  candidates[0].held = true;
  Situation made = situation(candidates);
  made.now = 20;
  made.memory.sweep = 10;
  made.must_leave = chunk * 3;
  EXPECT_EQ(ids(plan_clock(made).evict), Ids({2, 3}));
}

}  // namespace
}  // namespace vhbm
