// The states of a chunk and their legal moves.
#include "runtime/page_table.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace vhbm {
namespace {

using S = PageState;

TEST(PageState, MovesOnlyAsTheProtocolSays) {
  const std::set<std::pair<S, S>> legal = {
      {S::free, S::host_mapped},    {S::free, S::resident},     {S::host_mapped, S::arriving},
      {S::host_mapped, S::free},    {S::arriving, S::resident}, {S::arriving, S::host_mapped},
      {S::resident, S::leaving},    {S::resident, S::held},     {S::resident, S::free},
      {S::leaving, S::host_mapped}, {S::leaving, S::resident},  {S::held, S::resident},
      {S::held, S::free},
  };
  for (int from = 0; from <= static_cast<int>(S::held); ++from) {
    for (int to = 0; to <= static_cast<int>(S::held); ++to) {
      const auto a = static_cast<S>(from), b = static_cast<S>(to);
      EXPECT_EQ(legal_move(a, b), legal.contains({a, b})) << name_of(a) << " to " << name_of(b);
    }
  }
}

TEST(PageTable, IsAllFreeAndNeverUsedAtFirst) {
  PageTable table;
  ASSERT_TRUE(table.reserve(gib(1024)).ok());
  for (const std::uint32_t page : {0u, 1u, 524287u}) {
    EXPECT_EQ(table.state({page}), S::free);
    EXPECT_EQ(table.region({page}), PageTable::no_region);
    EXPECT_EQ(table.last_use({page}), 0u);
  }
}

TEST(PageTable, KeepsTheRegionWhileTheStateMoves) {
  PageTable table;
  ASSERT_TRUE(table.reserve(mib(64)).ok());
  ASSERT_TRUE(table.give_to({3}, 77, S::host_mapped));
  ASSERT_TRUE(table.move({3}, S::host_mapped, S::arriving));
  ASSERT_TRUE(table.move({3}, S::arriving, S::resident));
  EXPECT_EQ(table.region({3}), 77u);
  ASSERT_TRUE(table.move({3}, S::resident, S::free));
  EXPECT_EQ(table.region({3}), PageTable::no_region);
}

TEST(PageTable, LeavesAPageAloneWhenTheMoveIsNotLegalOrNotFromThere) {
  PageTable table;
  ASSERT_TRUE(table.reserve(mib(64)).ok());
  ASSERT_TRUE(table.give_to({0}, 1, S::resident));
  EXPECT_FALSE(table.move({0}, S::resident, S::arriving));
  EXPECT_FALSE(table.move({0}, S::host_mapped, S::arriving));
  EXPECT_FALSE(table.give_to({0}, 2, S::resident));
  EXPECT_FALSE(table.give_to({1}, PageTable::no_region, S::resident));
  EXPECT_FALSE(table.give_to({1}, PageTable::max_region + 1, S::resident));
  EXPECT_EQ(table.state({0}), S::resident);
  EXPECT_EQ(table.region({0}), 1u);
}

TEST(PageTable, ForgetsThePreviousOwnersUse) {
  PageTable table;
  ASSERT_TRUE(table.reserve(mib(64)).ok());
  ASSERT_TRUE(table.give_to({0}, 1, S::resident));
  table.touch({0}, 9);
  EXPECT_EQ(table.last_use({0}), 9u);
  ASSERT_TRUE(table.move({0}, S::resident, S::free));
  ASSERT_TRUE(table.give_to({0}, 2, S::resident));
  EXPECT_EQ(table.last_use({0}), 0u);
}

}  // namespace
}  // namespace vhbm
