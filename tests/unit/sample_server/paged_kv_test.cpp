// vLLM's KV rules: prefix hits by whole blocks, growth by one block, refusals that change nothing.
#include "paged_kv.h"

#include <gtest/gtest.h>

#include "token_makers.h"

namespace sample_server {
namespace {

std::vector<BlockId> blocks_of(const PagedKv& kv, SequenceId sequence) {
  const auto blocks = kv.blocks(sequence);
  return {blocks.begin(), blocks.end()};
}

bool admit(PagedKv& kv, SequenceId sequence, const std::vector<TokenId>& tokens) {
  return kv.admit(sequence, tokens, kv.cached_prefix(tokens), tokens.size());
}

TEST(PagedKv, FindsThePrefixOfAFinishedSequence) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(40)));
  kv.release(1);
  EXPECT_EQ(kv.cached_prefix(ascending(60)), 32U);
}

TEST(PagedKv, SharesBlocksWithARunningSequence) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(40)));
  ASSERT_TRUE(admit(kv, 2, ascending(32) + ascending(8, 900)));
  EXPECT_EQ(blocks_of(kv, 1), (std::vector<BlockId>{0, 1, 2}));
  EXPECT_EQ(blocks_of(kv, 2), (std::vector<BlockId>{0, 1, 3}));
}

TEST(PagedKv, LeavesTheLastTokenToBeComputed) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(32)));
  EXPECT_EQ(kv.cached_prefix(ascending(32)), 16U);
  EXPECT_EQ(kv.cached_prefix(ascending(33)), 32U);
}

TEST(PagedKv, CachesNoPartialBlock) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(15)));
  EXPECT_EQ(kv.cached_prefix(ascending(15) + ascending(10, 15)), 0U);
}

TEST(PagedKv, HitsNothingAfterTheFirstDifference) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(64)));
  EXPECT_EQ(kv.cached_prefix(ascending(16) + ascending(16, 900) + ascending(32, 32)), 16U);
}

TEST(PagedKv, AddsOneBlockWhenDecodingFillsTheLast) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(31)));
  ASSERT_TRUE(kv.grow(1, ascending(32), 32));
  EXPECT_EQ(kv.blocks(1).size(), 2U);
  ASSERT_TRUE(kv.grow(1, ascending(33), 33));
  EXPECT_EQ(kv.blocks(1).size(), 3U);
}

TEST(PagedKv, PublishesABlockThatDecodingFilled) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(31)));
  EXPECT_EQ(kv.cached_prefix(ascending(64)), 16U);
  ASSERT_TRUE(kv.grow(1, ascending(32), 32));
  EXPECT_EQ(kv.cached_prefix(ascending(64)), 32U);
}

TEST(PagedKv, PublishesOnlyWhatTheComingStepComputes) {
  PagedKv kv(8, 16);
  ASSERT_TRUE(kv.admit(1, ascending(64), 0, 20));
  EXPECT_EQ(kv.blocks(1).size(), 2U);
  EXPECT_EQ(kv.cached_prefix(ascending(64)), 16U);
}

TEST(PagedKv, ChangesNothingWhenThereIsNoRoom) {
  PagedKv kv(3, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(32)));
  EXPECT_FALSE(admit(kv, 2, ascending(20, 500)));
  EXPECT_FALSE(kv.grow(1, ascending(80), 80));
  EXPECT_EQ(kv.free_blocks(), 1U);
  EXPECT_EQ(kv.blocks(1).size(), 2U);
  EXPECT_TRUE(admit(kv, 2, ascending(16, 500)));
}

TEST(PagedKv, CountsRevivedBlocksAsTaken) {
  PagedKv kv(3, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(32)));
  kv.release(1);
  // Three blocks are free, two of which are the new sequence's own prefix.
  EXPECT_FALSE(admit(kv, 2, ascending(64)));
  EXPECT_EQ(kv.free_blocks(), 3U);
  EXPECT_TRUE(admit(kv, 2, ascending(48)));
  EXPECT_EQ(kv.free_blocks(), 0U);
}

TEST(PagedKv, LosesTheTailOfAPrefixFirst) {
  PagedKv kv(4, 16);
  ASSERT_TRUE(admit(kv, 1, ascending(64)));
  kv.release(1);
  ASSERT_TRUE(admit(kv, 2, ascending(32, 500)));
  EXPECT_EQ(kv.cached_prefix(ascending(65)), 32U);
}

}  // namespace
}  // namespace sample_server
