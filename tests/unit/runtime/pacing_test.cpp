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

TEST(Plans, AreTakenFromTheFrontPieceByPiece) {
  Plan rest{{{1}, {2}, {3}}, {{4}, {5}}, {{7}, 0, false}, true};
  Plan piece = take_front(rest, 2, 1);
  EXPECT_EQ(piece.promote, (std::vector<ChunkId>{{1}, {2}}));
  EXPECT_EQ(piece.evict, (std::vector<ChunkId>{{4}}));
  EXPECT_EQ(piece.memory.hand, ChunkId{7});
  piece = take_front(rest, 2, 1);
  EXPECT_EQ(piece.promote, (std::vector<ChunkId>{{3}}));
  EXPECT_EQ(piece.evict, (std::vector<ChunkId>{{5}}));
  EXPECT_TRUE(rest.empty());
}

}  // namespace
}  // namespace vhbm
