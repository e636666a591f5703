// Least recently used, as a function of values.
#include "policies/lru.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "candidates.h"

namespace vhbm {
namespace {

TEST(Lru, SwapsTheLongestUnusedForTheMostRecentlyUsed) {
  const std::vector<Candidate> candidates = {resident(1, 5), resident(2, 3), resident(3, 9),
                                             host(4, 8), host(5, 1)};
  const Plan plan = plan_lru(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({4}));
  EXPECT_EQ(ids(plan.evict), Ids({2}));
}

TEST(Lru, StopsWhereASwapGainsNothing) {
  const std::vector<Candidate> candidates = {resident(1, 5), resident(2, 6), host(3, 6),
                                             host(4, 5)};
  const Plan plan = plan_lru(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({3}));
  EXPECT_EQ(ids(plan.evict), Ids({1}));
}

TEST(Lru, LeavesATieAlone) {
  const std::vector<Candidate> candidates = {resident(1, 5), host(2, 5)};
  EXPECT_TRUE(plan_lru(situation(candidates)).empty());
}

TEST(Lru, FillsFreeHbmWithoutEvicting) {
  const std::vector<Candidate> candidates = {resident(1, 1), host(2, 4), host(3, 7), host(4, 5)};
  Situation made = situation(candidates);
  made.free_hbm = chunk * 2;
  made.most_promotions = chunk * 2;
  const Plan plan = plan_lru(made);
  EXPECT_EQ(ids(plan.promote), Ids({3, 4}));
  EXPECT_TRUE(plan.evict.empty());
}

TEST(Lru, NeverPromotesWhatWasNeverUsed) {
  const std::vector<Candidate> candidates = {host(1, 0), host(2, 0)};
  Situation made = situation(candidates);
  made.free_hbm = chunk * 10;
  EXPECT_TRUE(plan_lru(made).empty());
}

TEST(Lru, EvictsWhatHasToLeaveEvenWhenAllIsInUse) {
  const std::vector<Candidate> candidates = {resident(1, 9), resident(2, 8), resident(3, 10)};
  Situation made = situation(candidates);
  made.must_leave = chunk + mib(1);
  const Plan plan = plan_lru(made);
  EXPECT_EQ(ids(plan.evict), Ids({2, 1}));
  EXPECT_TRUE(plan.promote.empty());
}

TEST(Lru, KeepsWithinTheBoundsOfOneFlip) {
  std::vector<Candidate> candidates;
  for (std::uint32_t i = 0; i < 50; ++i) {
    candidates.push_back(resident(i, 1 + i));
    candidates.push_back(host(100 + i, 1000 + i));
  }
  Situation made = situation(candidates);
  made.most_promotions = chunk * 3;
  const Plan plan = plan_lru(made);
  EXPECT_EQ(ids(plan.promote), Ids({149, 148, 147}));
  EXPECT_EQ(ids(plan.evict), Ids({0, 1, 2}));
}

TEST(Lru, NeverOverfillsHbmWhateverItIsAsked) {
  std::mt19937 random(20);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Candidate> candidates;
    std::map<std::uint32_t, Candidate> by_id;
    for (std::uint32_t id = 0; id < random() % 30; ++id) {
      const Candidate made{{id}, chunk * (1 + random() % 2), random() % 8, random() % 2 == 0};
      candidates.push_back(made);
      by_id[id] = made;
    }
    std::shuffle(candidates.begin(), candidates.end(), random);
    Situation made = situation(candidates);
    made.free_hbm = chunk * (random() % 4);
    made.must_leave = chunk * (random() % 3);
    made.most_promotions = chunk * (random() % 6);
    made.most_evictions = chunk * (random() % 6);
    const Plan plan = plan_lru(made);
    Bytes promoted, evicted;
    for (const ChunkId id : plan.promote) {
      EXPECT_FALSE(by_id.at(id.value).resident);
      promoted += by_id.at(id.value).size;
    }
    for (const ChunkId id : plan.evict) {
      EXPECT_TRUE(by_id.at(id.value).resident);
      evicted += by_id.at(id.value).size;
    }
    EXPECT_LE(promoted, made.free_hbm + evicted);
    EXPECT_LE(promoted, made.most_promotions);
    EXPECT_LE(evicted, made.most_evictions);
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.chunk < b.chunk; });
    const Plan again = plan_lru(made);
    EXPECT_EQ(ids(plan.promote), ids(again.promote)) << "the order of candidates must not matter";
    EXPECT_EQ(ids(plan.evict), ids(again.evict));
  }
}

TEST(Lru, BreaksTiesByWhatTheChunksHold) {
  std::vector<Candidate> candidates = {resident(1, 5), resident(2, 5), resident(3, 5), host(4, 9)};
  candidates[0].tag = Tag::workspace;
  candidates[1].tag = Tag::kv;
  candidates[2].tag = Tag::weights;
  EXPECT_EQ(ids(plan_lru(situation(candidates)).evict), Ids({3}));
}

TEST(Lru, NeverEvictsWhatIsHeld) {
  std::vector<Candidate> candidates = {resident(1, 1), resident(2, 5), host(4, 9)};
  candidates[0].held = true;
  Situation made = situation(candidates);
  EXPECT_EQ(ids(plan_lru(made).evict), Ids({2}));
  made.must_leave = chunk * 2;
  EXPECT_EQ(ids(plan_lru(made).evict), Ids({2}));
}

}  // namespace
}  // namespace vhbm
