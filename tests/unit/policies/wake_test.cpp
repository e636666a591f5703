// What a waking process waits for.
#include "policies/wake.h"

#include <gtest/gtest.h>

#include "candidates.h"

namespace vhbm {
namespace {

// Asleep since 100; what is 10 apart is one step.
Ids order(const std::vector<Candidate>& candidates) {
  return ids(wake_order({candidates, 100, 10}));
}

TEST(WakeOrder, IsThatOfTheLastStep) {
  EXPECT_EQ(order({host(1, 98), host(2, 92), host(3, 95)}), (Ids{2, 3, 1}));
}

TEST(WakeOrder, GoesByTheNextStepWhereThatIsForeseen) {
  std::vector<Candidate> candidates{host(1, 98), host(2, 98), host(3, 98), host(4, 97)};
  candidates[0].expected = {3, 9};
  candidates[1].expected = {1, 9};
  candidates[2].expected = {2, 9};
  EXPECT_EQ(order(candidates), (Ids{2, 3, 1, 4}));
}

TEST(WakeOrder, BeginsWithWhatWasAskedForMeanwhile) {
  EXPECT_EQ(order({host(1, 98), host(2, 92), host(3, 105)}), (Ids{3, 2, 1}));
}

TEST(WakeOrder, LeavesOlderStepsForLater) {
  EXPECT_EQ(order({host(1, 98), host(2, 80), host(3, 0)}), (Ids{1}));
}

TEST(WakeOrder, LeavesKvForLater) {
  std::vector<Candidate> candidates{host(1, 98), host(2, 98), host(3, 105)};
  candidates[1].tag = candidates[2].tag = Tag::kv;
  EXPECT_EQ(order(candidates), (Ids{1}));
}

TEST(WakeOrder, DoesNotNameWhatIsThere) {
  EXPECT_EQ(order({resident(1, 98), host(2, 97)}), (Ids{2}));
}

TEST(WakeOrder, IsEmptyWithoutEvidence) {
  EXPECT_EQ(order({host(1, 0), host(2, 0)}), Ids{});
}

}  // namespace
}  // namespace vhbm
