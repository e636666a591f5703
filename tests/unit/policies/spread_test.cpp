// Of each region the same part in HBM.
#include "policies/spread.h"

#include <gtest/gtest.h>

#include <map>

#include "candidates.h"
#include "policies/next_use.h"

namespace vhbm {
namespace {

// Regions of so many chunks each, of which the first ones of all are resident.
std::vector<Candidate> cycle(std::uint32_t regions, std::uint32_t chunks, std::uint32_t resident) {
  std::vector<Candidate> candidates;
  for (std::uint32_t region = 0; region < regions; ++region) {
    for (std::uint32_t i = 0; i < chunks; ++i) {
      Candidate one = host(region * chunks + i, 9);
      one.resident = one.chunk.value < resident;
      one.tag = Tag::weights;
      one.region = region;
      one.expected = {region + 1, region + 1 + regions};
      one.frequency = 1000;
      candidates.push_back(one);
    }
  }
  return candidates;
}

void carry_out(const Plan& plan, std::vector<Candidate>& candidates) {
  for (Candidate& one : candidates) {
    for (const ChunkId id : plan.promote) {
      if (one.chunk == id) one.resident = true;
    }
    for (const ChunkId id : plan.evict) {
      if (one.chunk == id) one.resident = false;
    }
  }
}

std::map<std::uint32_t, int> resident_chunks(const std::vector<Candidate>& candidates) {
  std::map<std::uint32_t, int> counts;
  for (const Candidate& one : candidates) counts[one.region] += one.resident ? 1 : 0;
  return counts;
}

TEST(Spread, GivesEachRegionOfACycleTheSamePart) {
  std::vector<Candidate> candidates = cycle(12, 8, 64);
  int flips = 0;
  for (; flips < 100; ++flips) {
    Situation made = situation(candidates);
    made.most_promotions = made.most_evictions = chunk * 5;
    const Plan plan = plan_next_use(made);
    if (plan.empty()) break;
    EXPECT_EQ(plan.promote.size(), plan.evict.size());
    carry_out(plan, candidates);
  }
  // 32 chunks are missing of 4 regions; no more of them come than must.
  EXPECT_LE(flips, 6);
  for (const auto& [region, count] : resident_chunks(candidates)) {
    EXPECT_GE(count, 4) << region;
    EXPECT_LE(count, 6) << region;
  }
}

TEST(Spread, LeavesSmallDifferencesAlone) {
  std::vector<Candidate> candidates = cycle(2, 8, 0);
  for (std::uint32_t i = 0; i < 8; ++i) candidates[i].resident = i < 6;
  for (std::uint32_t i = 8; i < 16; ++i) candidates[i].resident = i < 13;
  EXPECT_TRUE(plan_spread(situation(candidates)).empty());
  std::vector<Candidate> single = cycle(6, 1, 3);
  EXPECT_TRUE(plan_spread(situation(single)).empty());
}

TEST(Spread, IsForWeightsThatAreExpected) {
  std::vector<Candidate> candidates = cycle(4, 4, 8);
  for (Candidate& one : candidates) one.tag = Tag::kv;
  EXPECT_TRUE(plan_spread(situation(candidates)).empty());
  candidates = cycle(4, 4, 8);
  for (Candidate& one : candidates) one.expected = {};
  EXPECT_TRUE(plan_spread(situation(candidates)).empty());
}

TEST(Spread, IsForTheCycleThatGoesOn) {
  std::vector<Candidate> candidates = cycle(4, 4, 8);
  EXPECT_FALSE(plan_spread(situation(candidates)).empty());
  // These come after many more rounds of others.
  for (Candidate& one : candidates) {
    one.expected.next += 100;
    one.expected.after += 100;
  }
  EXPECT_TRUE(plan_spread(situation(candidates)).empty());
}

TEST(Spread, TakesNothingFromWhatIsUsedMoreOften) {
  std::vector<Candidate> candidates = cycle(2, 4, 4);
  for (std::uint32_t i = 0; i < 4; ++i) candidates[i].frequency = 2000;
  EXPECT_TRUE(plan_spread(situation(candidates)).empty());
  for (std::uint32_t i = 0; i < 4; ++i) candidates[i].frequency = 1100;
  EXPECT_FALSE(plan_spread(situation(candidates)).empty());
}

TEST(Spread, TakesNothingThatIsHeld) {
  std::vector<Candidate> candidates = cycle(2, 4, 4);
  for (Candidate& one : candidates) one.held = one.resident;
  EXPECT_TRUE(plan_spread(situation(candidates)).empty());
}

}  // namespace
}  // namespace vhbm
