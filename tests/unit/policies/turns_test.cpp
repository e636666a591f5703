// Who may hold how much of a shared GPU, and whose turn it is, over time.
#include "policies/turns.h"

#include <gtest/gtest.h>

#include <map>

namespace vhbm {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds quantum = 1s;

// An active process of so many GiB, all of which it would hold.
Claim claim_of(std::uint64_t id, std::uint64_t wanted) {
  Claim claim;
  claim.id = id;
  claim.wants = gib(wanted);
  claim.active = claim.responds = true;
  claim.active_at = 10s;
  return claim;
}

std::vector<Share> shared_among(const std::vector<Claim>& claims, std::uint64_t room,
                                std::chrono::nanoseconds now = 10s) {
  return share_out({claims, gib(room), now, quantum, 10});
}

TEST(Turns, WhereAllFitEverybodyHasWhatItWants) {
  const auto shares = shared_among({claim_of(1, 30), claim_of(2, 50)}, 80);
  EXPECT_EQ(shares, (std::vector<Share>{{gib(30)}, {gib(50)}}));
}

TEST(Turns, WhoIsIdleGivesTheOneThatIsIdleLongestFirst) {
  std::vector<Claim> claims{claim_of(1, 50), claim_of(2, 40), claim_of(3, 40)};
  claims[1].active = claims[2].active = false;
  claims[1].active_at = 3s;
  claims[2].active_at = 5s;
  const auto shares = shared_among(claims, 100);
  EXPECT_EQ(shares, (std::vector<Share>{{gib(50)}, {gib(10)}, {gib(40)}}));
}

TEST(Turns, WhatCannotLeaveIsNotGivenAway) {
  std::vector<Claim> claims{claim_of(1, 90), claim_of(2, 40)};
  claims[1].active = false;
  claims[1].floor = gib(15);
  const auto shares = shared_among(claims, 100);
  EXPECT_EQ(shares, (std::vector<Share>{{gib(85), true, true, quantum}, {gib(15)}}));
}

TEST(Turns, WhoDoesNotRespondKeepsWhatItHoldsAndHasNoTurn) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 80), claim_of(3, 80)};
  claims[0].responds = false;
  claims[0].holds = gib(20);
  claims[0].turn_since = 9500ms;
  const auto shares = shared_among(claims, 100);
  EXPECT_EQ(shares,
            (std::vector<Share>{{gib(20)}, {gib(80), true, true, quantum}, {gib(0), false}}));
}

TEST(Turns, TheOneThatWasServedLeastIsFirstAndWhoFitsBesideItRunsToo) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 60), claim_of(3, 30)};
  claims[0].served = 3s;
  claims[1].served = 1s;
  claims[2].served = 5s;
  const auto shares = shared_among(claims, 100);
  EXPECT_EQ(shares, (std::vector<Share>{
                        {gib(10), false}, {gib(60), true, true, quantum}, {gib(30), true}}));
}

TEST(Turns, LastAQuantum) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 80)};
  claims[0].turn_since = 10s;
  claims[0].served = 500ms;
  EXPECT_TRUE(shared_among(claims, 100, 10900ms)[0].has_turn);
  EXPECT_TRUE(shared_among(claims, 100, 11000ms)[1].has_turn);
}

TEST(Turns, LastLongerWhereChangingTakesMoreThanItsShare) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 80)};
  claims[0].turn_since = 10s;
  claims[0].served = 500ms;
  claims[0].change = 90ms;
  EXPECT_TRUE(shared_among(claims, 100, 11000ms)[1].has_turn) << "a tenth of a quantum is more";
  claims[1].change = 300ms;
  EXPECT_TRUE(shared_among(claims, 100, 12900ms)[0].has_turn);
  EXPECT_EQ(shared_among(claims, 100, 12900ms)[0].turn, 3s);
  EXPECT_TRUE(shared_among(claims, 100, 13000ms)[1].has_turn);
  claims[1].active = false;
  claims.push_back(claim_of(3, 80));
  EXPECT_TRUE(shared_among(claims, 100, 11000ms)[2].has_turn) << "who has no work changes nothing";
  claims[2].change = 1h;
  EXPECT_TRUE(shared_among(claims, 100, 29s)[0].has_turn);
  EXPECT_TRUE(shared_among(claims, 100, 30s)[2].has_turn) << "nobody waits longer than that";
}

TEST(Turns, OfTwoThatTookTheTurnAtOnceTheFirstHasIt) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 80)};
  claims[0].turn_since = 9900ms;
  claims[1].turn_since = 9800ms;
  EXPECT_TRUE(shared_among(claims, 100)[1].has_turn);
  claims[0].turn_since = claims[1].turn_since;
  EXPECT_TRUE(shared_among(claims, 100)[0].has_turn);
}

TEST(Turns, LatencyThatComesToHaveWorkDoesNotWaitForABatchOnesQuantum) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 80)};
  claims[0].gpu_class = GpuClass::batch;
  claims[0].turn_since = 9900ms;
  claims[0].served = 19900ms;
  claims[1].served = 20s;
  EXPECT_TRUE(shared_among(claims, 100)[0].has_turn) << "it had work before";
  claims[0].turn_since = {};
  EXPECT_TRUE(shared_among(claims, 100)[1].has_turn) << "they begin to take turns";
  claims[0].turn_since = 9900ms;
  claims[1].active_since = 9950ms;
  EXPECT_TRUE(shared_among(claims, 100)[1].has_turn);
  claims[1].served = 22s;
  EXPECT_TRUE(shared_among(claims, 100)[0].has_turn) << "the batch one would starve";
  claims[1].served = 0s;
  claims[1].gpu_class = GpuClass::batch;
  EXPECT_TRUE(shared_among(claims, 100)[0].has_turn);
}

// As processes do it: each counts what it was served, by what it weighs.
std::map<std::uint64_t, std::chrono::nanoseconds> run(std::vector<Claim> claims,
                                                      std::chrono::nanoseconds time) {
  constexpr std::chrono::nanoseconds step = 10ms;
  std::map<std::uint64_t, std::chrono::nanoseconds> ran;
  for (auto now = step; now < time; now += step) {
    const auto shares = shared_among(claims, 100, now);
    for (std::size_t i = 0; i < claims.size(); ++i) {
      Claim& claim = claims[i];
      if (!shares[i].has_turn) claim.turn_since = {};
      if (shares[i].has_turn &&
          (claim.turn_since.count() == 0 || now - claim.turn_since >= quantum)) {
        claim.turn_since = now;
      }
      if (!shares[i].runs) continue;
      ran[claim.id] += step;
      const int weight = claim.gpu_class == GpuClass::latency ? 4 : 1;
      claim.served += step * 50 / (static_cast<int>(claim.priority) * weight);
    }
  }
  return ran;
}

TEST(Turns, NobodyStarvesAndTimeGoesByWeight) {
  std::vector<Claim> claims{claim_of(1, 80), claim_of(2, 80), claim_of(3, 80), claim_of(4, 80)};
  claims[1].gpu_class = claims[2].gpu_class = claims[3].gpu_class = GpuClass::batch;
  claims[3].priority = 100;
  auto ran = run(claims, 160s);
  // 4 : 1 : 1 : 2
  EXPECT_NEAR(std::chrono::duration<double>(ran[1]).count(), 80, 3);
  EXPECT_NEAR(std::chrono::duration<double>(ran[2]).count(), 20, 3);
  EXPECT_NEAR(std::chrono::duration<double>(ran[3]).count(), 20, 3);
  EXPECT_NEAR(std::chrono::duration<double>(ran[4]).count(), 40, 3);
}

TEST(Turns, ASmallOneBesideManyLargeOnesAlwaysRuns) {
  auto ran = run({claim_of(1, 90), claim_of(2, 90), claim_of(3, 5)}, 20s);
  EXPECT_GE(ran[3], 19s);
  EXPECT_GE(ran[1], 8s);
  EXPECT_GE(ran[2], 8s);
}

}  // namespace
}  // namespace vhbm
