// Memory that is watched for looks: its word says whether it is there, and never again what it
// said.
#include "runtime/kv_guards.h"

#include <gtest/gtest.h>

#include <array>

namespace vhbm {
namespace {

class Guards : public ::testing::Test {
 protected:
  Guards() { guards_.begin(words_.data(), words_.size()); }
  static std::uint32_t said(const KvGuard& guard) {
    return *reinterpret_cast<const std::uint32_t*>(guard.word);
  }
  static bool there(const KvGuard& guard) { return said(guard) == guard.stamp; }

  std::array<std::uint32_t, 3> words_{};
  KvGuards guards_;
};

TEST_F(Guards, SayThatMemoryIsThereUntilItGoes) {
  const auto first = guards_.watch(0x1000, 0x100), second = guards_.watch(0x2000, 0x100);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(there(*first) && there(*second));
  EXPECT_EQ(guards_.watch(0x1000, 0x100)->stamp, first->stamp);
  guards_.goes(0x1000, 1);
  EXPECT_FALSE(there(*first));
  EXPECT_TRUE(there(*second));
}

TEST_F(Guards, GoWithAnyPartOfTheirMemory) {
  const auto one = guards_.watch(0x1000, 0x100);
  guards_.goes(0xf00, 0x100);
  guards_.goes(0x1100, 0x100);
  EXPECT_TRUE(there(*one)) << "it only began, or ended, there";
  guards_.goes(0x10ff, 1);
  EXPECT_FALSE(there(*one));
  const auto whole = guards_.watch(0x1000, 0x100);
  guards_.goes(0, 0x10000);
  EXPECT_FALSE(there(*whole));
}

TEST_F(Guards, OfOtherMemoryInTheSamePlaceDoNotSpeakForWhatWasThere) {
  const auto before = guards_.watch(0x1000, 0x100);
  guards_.goes(0x1000, 0x100);
  const auto after = guards_.watch(0x1000, 0x100);
  EXPECT_FALSE(there(*before));
  EXPECT_TRUE(there(*after));
  const auto larger = guards_.watch(0x1000, 0x200);
  EXPECT_FALSE(there(*after)) << "it was freed where nobody saw it";
  EXPECT_TRUE(there(*larger));
}

TEST_F(Guards, AreNotMoreThanThereAreWords) {
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(guards_.watch(0x1000 * (i + 1), 8));
  EXPECT_FALSE(guards_.watch(0x9000, 8));
  guards_.goes(0x2000, 8);
  EXPECT_TRUE(guards_.watch(0x9000, 8));
}

TEST_F(Guards, AreNoneOnceTheirContextEnded) {
  EXPECT_TRUE(guards_.watch(0x1000, 8));
  guards_.end();
  guards_.goes(0x1000, 8);
  EXPECT_FALSE(guards_.watch(0x2000, 8));
}

}  // namespace
}  // namespace vhbm
