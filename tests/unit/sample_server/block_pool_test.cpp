// The pool of KV blocks: order of eviction, and what can be found again.
#include "block_pool.h"

#include <gtest/gtest.h>

#include "token_makers.h"

namespace sample_server {
namespace {

std::vector<BlockId> take(BlockPool& pool, std::size_t count) {
  std::vector<BlockId> blocks;
  for (std::size_t i = 0; i < count; ++i) blocks.push_back(pool.take());
  return blocks;
}

BlockHash hash_of(TokenId token) {
  return chained_hash({}, ascending(16, token));
}

TEST(BlockPool, HandsOutNewBlocksInOrder) {
  BlockPool pool(3);
  EXPECT_EQ(take(pool, 3), (std::vector<BlockId>{0, 1, 2}));
  EXPECT_EQ(pool.free_blocks(), 0U);
}

TEST(BlockPool, ReusesTheBlockThatHasBeenFreeLongest) {
  BlockPool pool(3);
  take(pool, 3);
  for (const BlockId block : {1, 0, 2}) pool.release_tail_first(std::span(&block, 1));
  EXPECT_EQ(take(pool, 3), (std::vector<BlockId>{1, 0, 2}));
}

TEST(BlockPool, ReusesTheTailOfASequenceBeforeItsHead) {
  BlockPool pool(4);
  const auto sequence = take(pool, 3);
  pool.release_tail_first(sequence);
  EXPECT_EQ(take(pool, 4), (std::vector<BlockId>{3, 2, 1, 0}));
}

TEST(BlockPool, FindsAFreeBlockUntilItIsHandedOutAgain) {
  BlockPool pool(1);
  const BlockId block = pool.take();
  pool.publish(block, hash_of(1));
  pool.release_tail_first(std::span(&block, 1));
  EXPECT_EQ(pool.find(hash_of(1)), block);
  pool.take();
  EXPECT_EQ(pool.find(hash_of(1)), std::nullopt);
}

TEST(BlockPool, KeepsAReferencedBlockOutOfTheFreeQueue) {
  BlockPool pool(2);
  const auto blocks = take(pool, 2);
  pool.publish(blocks[0], hash_of(1));
  pool.release_tail_first(blocks);
  pool.reference(blocks[0]);
  EXPECT_EQ(pool.free_blocks(), 1U);
  EXPECT_EQ(pool.take(), blocks[1]);
}

TEST(BlockPool, FreesASharedBlockOnlyWhenItsLastUserGoes) {
  BlockPool pool(1);
  const BlockId block = pool.take();
  pool.reference(block);
  pool.release_tail_first(std::span(&block, 1));
  EXPECT_EQ(pool.free_blocks(), 0U);
  pool.release_tail_first(std::span(&block, 1));
  EXPECT_EQ(pool.free_blocks(), 1U);
}

TEST(BlockPool, StillFindsTheTwinOfABlockThatWasHandedOutAgain) {
  BlockPool pool(2);
  const auto twins = take(pool, 2);
  for (const BlockId twin : twins) pool.publish(twin, hash_of(1));
  pool.release_tail_first(std::span(&twins[0], 1));
  EXPECT_EQ(pool.take(), twins[0]);
  EXPECT_EQ(pool.find(hash_of(1)), twins[1]);
}

TEST(ChainedHash, DependsOnAllThatComesBefore) {
  const auto tokens = ascending(16);
  const BlockHash first = chained_hash({}, tokens);
  EXPECT_EQ(chained_hash({}, tokens), first);
  EXPECT_FALSE(chained_hash(first, tokens) == first);
}

}  // namespace
}  // namespace sample_server
