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

// Another phase begins: ten chunks that come again and again, and the ten of the one before.
std::vector<Candidate> change_of_phase() {
  std::vector<Candidate> candidates;
  for (std::uint32_t i = 0; i < 10; ++i) {
    candidates.push_back(expected(host(i, 1), 1 + i, 11 + i));
    candidates.push_back(expected(resident(10 + i, 9), 501 + i, 511 + i));
  }
  return candidates;
}
Situation with_flips_of(Bytes flip, Bytes at_once, const std::vector<Candidate>& candidates) {
  Situation made = situation(candidates);
  made.most_promotions = made.most_evictions = flip;
  made.most_at_once = at_once;
  return made;
}

TEST(NextUse, BringsAPhaseAtOnce) {
  const std::vector<Candidate> candidates = change_of_phase();
  const Plan plan = plan_next_use(with_flips_of(chunk * 2, chunk * 8, candidates));
  EXPECT_TRUE(plan.at_once);
  EXPECT_EQ(ids(plan.promote), Ids({0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(ids(plan.evict), Ids({19, 18, 17, 16, 15, 14, 13, 12}));
}

TEST(NextUse, BringsAFlipWhereMoreMayNotCome) {
  const std::vector<Candidate> candidates = change_of_phase();
  for (const Bytes at_once : {chunk * 0, chunk * 2}) {
    const Plan plan = plan_next_use(with_flips_of(chunk * 2, at_once, candidates));
    EXPECT_FALSE(plan.at_once);
    EXPECT_EQ(plan.promote.size(), 2u);
  }
  // The thrash guard holds it back.
  EXPECT_TRUE(plan_next_use(with_flips_of(chunk * 0, chunk * 8, candidates)).promote.empty());
}

TEST(NextUse, BringsAtOnceOnlyWhatIsReadWhole) {
  std::vector<Candidate> candidates = change_of_phase();
  for (Candidate& one : candidates) one.tag = one.chunk.value < 7 ? Tag::kv : Tag::weights;
  const Plan plan = plan_next_use(with_flips_of(chunk * 2, chunk * 8, candidates));
  EXPECT_TRUE(plan.at_once);
  EXPECT_EQ(ids(plan.promote), Ids({7, 8, 9}));
}

TEST(NextUse, BringsAPhaseAheadOfItsTimeFlipByFlip) {
  std::vector<Candidate> candidates = change_of_phase();
  for (Candidate& one : candidates) {
    one.expected.next += 100;
    one.expected.after += 100;
  }
  const Plan plan = plan_next_use(with_flips_of(chunk * 2, chunk * 8, candidates));
  EXPECT_FALSE(plan.at_once);
  EXPECT_EQ(ids(plan.promote), Ids({0, 1}));
}

TEST(NextUse, BringsAtOnceOnlyWhatIsUsedTwiceBefore) {
  std::vector<Candidate> candidates = change_of_phase();
  for (Candidate& one : candidates) {
    if (one.chunk.value >= 3 && one.chunk.value < 10) one.expected.after = 600;
  }
  const Plan plan = plan_next_use(with_flips_of(chunk * 2, chunk * 8, candidates));
  EXPECT_EQ(ids(plan.promote), Ids({0, 1, 2}));
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
