// How much the pager may move, and when, as functions of values.
#include "runtime/pacing.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

using namespace std::chrono_literals;

TEST(Pacing, RestsUntilTheShareHolds) {
  EXPECT_EQ(rest_after(10ms, 10), 90ms);
  EXPECT_EQ(rest_after(10ms, 50), 10ms);
  EXPECT_EQ(rest_after(10ms, 100), 0ms);
}

TEST(SavedStall, GrowsWithTimeUpToWhatASecondAllows) {
  SavedStall saved;
  saved.spend(10ms, 100s, 10);
  EXPECT_EQ(saved.at(saved.spent_until(), 10), 0ms);
  EXPECT_EQ(saved.at(saved.spent_until() + 200ms, 10), 20ms);
  EXPECT_EQ(saved.at(saved.spent_until() + 200ms, 50), 100ms);
  EXPECT_EQ(saved.at(saved.spent_until() + 1h, 10), 100ms);
  EXPECT_EQ(saved.at(saved.spent_until() - 1s, 10), 0ms);
}

TEST(SavedStall, WithNothingSavedIsFollowedByTheUsualRest) {
  SavedStall saved;
  saved.spend(10ms, 100s, 10);
  const SavedStall::Time begin = saved.spent_until();
  saved.spend(30ms, begin + 30ms, 10);
  EXPECT_EQ(saved.spent_until(), begin + 30ms + rest_after(30ms, 10));
}

TEST(SavedStall, AllOfItSpentTheShareHoldsForASecond) {
  SavedStall saved;
  const SavedStall::Time begin = 100s;
  const SavedStall::Time all = saved.at(begin, 10);
  EXPECT_EQ(all, 100ms);
  saved.spend(all, begin + all, 10);
  // A second was open before, a tenth of which this was: nothing is owed.
  EXPECT_EQ(saved.spent_until(), begin);
  saved.spend(100ms, begin + 200ms, 10);
  EXPECT_EQ(saved.spent_until(), begin + 1s);
}

TEST(SavedStall, IsWorthWhatComesMeanwhile) {
  SavedStall saved;
  saved.spend(10ms, 100s, 10);
  EXPECT_EQ(saved.worth(saved.spent_until() + 500ms, 10, 1 << 30), Bytes{(1 << 30) / 20});
  EXPECT_EQ(saved.worth(saved.spent_until() + 500ms, 10, 0), Bytes{});
}

TEST(Plans, AreTakenFlipByFlip) {
  Options options;
  options.flip_size = Size::of(mib(4));
  Plan rest{{{1}, {2}, {3}}, {{4}, {5}, {6}}, {{7}, 0, false}, true};
  Plan flip = take_flip(rest, options, gib(1), mib(2), 10);
  EXPECT_EQ(flip.promote, (std::vector<ChunkId>{{1}, {2}}));
  EXPECT_EQ(flip.evict, (std::vector<ChunkId>{{4}, {5}}));
  EXPECT_EQ(flip.memory.hand, ChunkId{7});
  // Where no frame is left, what leaves makes room first.
  flip = take_flip(rest, options, gib(1), mib(2), 0);
  EXPECT_TRUE(flip.promote.empty());
  EXPECT_EQ(flip.evict, (std::vector<ChunkId>{{6}}));
  flip = take_flip(rest, options, gib(1), mib(2), 1);
  EXPECT_EQ(flip.promote, (std::vector<ChunkId>{{3}}));
  EXPECT_TRUE(rest.empty());
}

}  // namespace
}  // namespace vhbm
