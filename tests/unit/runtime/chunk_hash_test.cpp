// The hash tells chunks apart by every bit and by where it stands.
#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "runtime/page_kernels.h"

namespace vhbm {
namespace {

std::vector<std::uint64_t> some_words(std::size_t count) {
  std::vector<std::uint64_t> words(count);
  for (std::size_t i = 0; i < count; ++i) words[i] = mixed(i);
  return words;
}

Hash hash(const std::vector<std::uint64_t>& words) {
  return hash_of(words.data(), words.size() * sizeof(std::uint64_t));
}

TEST(ChunkHash, DiffersInBothHalvesForEveryBit) {
  std::vector<std::uint64_t> words = some_words(64);
  const Hash before = hash(words);
  for (std::size_t word = 0; word < words.size(); ++word) {
    for (int bit = 0; bit < 64; ++bit) {
      words[word] ^= std::uint64_t{1} << bit;
      const Hash after = hash(words);
      EXPECT_NE(after.low, before.low) << "word " << word << " bit " << bit;
      EXPECT_NE(after.high, before.high) << "word " << word << " bit " << bit;
      words[word] ^= std::uint64_t{1} << bit;
    }
  }
}

TEST(ChunkHash, DiffersWhenEqualWordsStandElsewhere) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (std::size_t place = 0; place < 1024; ++place) {
    std::vector<std::uint64_t> words(1024, 0);
    words[place] = 1;
    const Hash found = hash(words);
    EXPECT_TRUE(seen.insert({found.low, found.high}).second) << place;
  }
}

TEST(ChunkHash, OfNothingButZeroDependsOnTheLength) {
  EXPECT_FALSE(hash(std::vector<std::uint64_t>(64, 0)) == hash(std::vector<std::uint64_t>(128, 0)));
}

}  // namespace
}  // namespace vhbm
