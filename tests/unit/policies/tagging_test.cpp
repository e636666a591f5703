// What regions are taken for, as a function of their history.
#include "policies/tagging.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

RegionHistory history_of(Bytes size) {
  RegionHistory history;
  history.size = size;
  history.rounds_alive = 100;
  history.of_equal_size = 1;
  return history;
}

TEST(Tagging, TakesWhatWasFilledOnceAndThenReadForWeights) {
  RegionHistory history = history_of(mib(64));
  history.filled_before_use = mib(64);
  EXPECT_EQ(guess_tag(history).tag, Tag::weights);
  const unsigned unused = guess_tag(history).confidence;
  history.rounds_used = 50;
  const unsigned used = guess_tag(history).confidence;
  history.chunks_unchanged = 4;
  const unsigned proven = guess_tag(history).confidence;
  EXPECT_LT(unused, used);
  EXPECT_LT(used, proven);
  EXPECT_LT(proven, 100u) << "that is the user's word only";
}

TEST(Tagging, TakesNothingForWeightsThatChanges) {
  RegionHistory history = history_of(mib(64));
  history.filled_before_use = mib(64);
  history.rounds_used = 50;
  history.chunks_unchanged = 1;
  history.chunks_changed = 5;
  EXPECT_NE(guess_tag(history).tag, Tag::weights);
  history.chunks_changed = 0;
  history.filled_in_use = mib(40);
  EXPECT_NE(guess_tag(history).tag, Tag::weights);
}

TEST(Tagging, TakesEqualRegionsThatKernelsFillForKv) {
  RegionHistory history = history_of(mib(64));
  history.rounds_used = 50;
  history.of_equal_size = 4;
  const TagGuess written = guess_tag(history);
  EXPECT_EQ(written.tag, Tag::kv);
  history.zeroed = mib(64);
  EXPECT_EQ(guess_tag(history).tag, Tag::kv);
  EXPECT_GT(guess_tag(history).confidence, written.confidence);
}

TEST(Tagging, TakesWhatIsRewrittenForAWorkspace) {
  RegionHistory history = history_of(mib(8));
  history.rounds_used = 50;
  history.filled_in_use = mib(200);
  EXPECT_EQ(guess_tag(history).tag, Tag::workspace);
  history.filled_in_use = {};
  history.chunks_changed = 3;
  EXPECT_EQ(guess_tag(history).tag, Tag::workspace);
}

TEST(Tagging, SaysNothingWithoutEvidence) {
  EXPECT_EQ(guess_tag(history_of(mib(8))).tag, Tag::other);
  EXPECT_EQ(guess_tag(history_of(mib(8))).confidence, 0u);
}

}  // namespace
}  // namespace vhbm
