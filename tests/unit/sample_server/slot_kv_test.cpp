// llama.cpp's KV rules: one contiguous slot a sequence, chosen by likeness, else by age.
#include "slot_kv.h"

#include <gtest/gtest.h>

#include "token_makers.h"

namespace sample_server {
namespace {

bool admit(SlotKv& kv, SequenceId sequence, const std::vector<TokenId>& tokens) {
  return kv.admit(sequence, tokens, kv.cached_prefix(tokens), tokens.size());
}

TEST(SlotKv, GivesEachSequenceConsecutiveBlocks) {
  SlotKv kv(8, 16, 2);
  ASSERT_TRUE(admit(kv, 1, ascending(20)));
  ASSERT_TRUE(admit(kv, 2, ascending(20, 500)));
  const auto first = kv.blocks(1);
  const auto second = kv.blocks(2);
  EXPECT_EQ(std::vector<BlockId>(first.begin(), first.end()), (std::vector<BlockId>{0, 1, 2, 3}));
  EXPECT_EQ(std::vector<BlockId>(second.begin(), second.end()), (std::vector<BlockId>{4, 5, 6, 7}));
  EXPECT_EQ(kv.longest_sequence(), 64U);
}

TEST(SlotKv, RefusesWhenEverySlotIsInUse) {
  SlotKv kv(4, 16, 1);
  ASSERT_TRUE(admit(kv, 1, ascending(20)));
  EXPECT_FALSE(admit(kv, 2, ascending(20)));
  kv.release(1);
  EXPECT_TRUE(admit(kv, 2, ascending(20)));
}

TEST(SlotKv, KeepsATokensPrefixOfTheSlotMostAlike) {
  SlotKv kv(8, 16, 2);
  ASSERT_TRUE(admit(kv, 1, ascending(20)));
  ASSERT_TRUE(admit(kv, 2, ascending(20, 500)));
  kv.release(2);
  kv.release(1);
  EXPECT_EQ(kv.cached_prefix(ascending(21)), 20U);
  ASSERT_TRUE(admit(kv, 3, ascending(30)));
  EXPECT_EQ(kv.blocks(3)[0], 0);
}

TEST(SlotKv, TakesTheSlotUnusedForLongestWhenNoneIsAlike) {
  SlotKv kv(8, 16, 2);
  ASSERT_TRUE(admit(kv, 1, ascending(20)));
  ASSERT_TRUE(admit(kv, 2, ascending(20, 500)));
  kv.release(2);
  kv.release(1);
  ASSERT_TRUE(admit(kv, 3, ascending(20, 900)));
  EXPECT_EQ(kv.blocks(3)[0], 4);
}

TEST(SlotKv, LeavesTheLastTokenToBeComputed) {
  SlotKv kv(4, 16, 1);
  ASSERT_TRUE(admit(kv, 1, ascending(20)));
  kv.release(1);
  EXPECT_EQ(kv.cached_prefix(ascending(20)), 19U);
}

}  // namespace
}  // namespace sample_server
