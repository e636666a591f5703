// Every word in the window is found, wherever it stands, and no other.
#include "interpose/window_words.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace vhbm::interpose {
namespace {

constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

std::vector<std::uint64_t> found_in(const Window& window, const std::vector<std::uint64_t>& words) {
  // At an odd address, as in a packed buffer.
  std::vector<char> bytes(words.size() * sizeof(std::uint64_t) + 1);
  if (!words.empty()) std::memcpy(&bytes[1], words.data(), bytes.size() - 1);
  std::vector<std::uint64_t> found;
  words_in_window(window, &bytes[1], words.size(),
                  [&](std::uint64_t word) { found.push_back(word); });
  return found;
}

struct Range {
  std::uint64_t begin, size;
};
// Small and large, on round addresses and across them, up to the last address.
constexpr Range ranges[] = {
    {1ull << 44, 1ull << 40}, {0x7f23'4560'0000, 1ull << 40},      {0xffff'ffe0'0000, 4ull << 20},
    {2ull << 20, 2ull << 20}, {0x7fff'ffff'f000'0000, 1ull << 33}, {most - 4095, 4096}};

TEST(WindowWords, FindsAWordAtEveryPlace) {
  for (const Range& range : ranges) {
    const Window window({range.begin}, {range.size});
    for (std::size_t count : {1, 15, 16, 17, 31, 32, 33, 48, 80, 512}) {
      for (std::size_t place = 0; place < count; ++place) {
        std::vector<std::uint64_t> words(count, range.begin - 1);
        words[place] = range.begin + range.size / 2;
        EXPECT_EQ(found_in(window, words), std::vector{words[place]}) << count << " " << place;
      }
    }
  }
}

TEST(WindowWords, KnowsTheEdges) {
  for (const Range& range : ranges) {
    const Window window({range.begin}, {range.size});
    const std::uint64_t last = range.begin + range.size - 1;
    std::vector<std::uint64_t> words(16, range.begin - 1);
    words[1] = range.begin;
    words[5] = last;
    words[9] = last + 1;
    EXPECT_EQ(found_in(window, words), (std::vector{range.begin, last}));
  }
}

TEST(WindowWords, AgreesWithAskingEachWord) {
  std::mt19937_64 random(1);
  for (const Range& range : ranges) {
    const Window window({range.begin}, {range.size});
    std::vector<std::uint64_t> words(1000), expected;
    for (std::uint64_t& word : words) {
      // Near the window, so that many share its upper half.
      word = range.begin + random() % (range.size * 4) - range.size;
      if (word - range.begin < range.size) expected.push_back(word);
    }
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(found_in(window, words), expected);
  }
}

TEST(WindowWords, FindsNothingInAWindowOfNothing) {
  EXPECT_TRUE(found_in(Window(), {0, 1, most}).empty());
  EXPECT_TRUE(found_in(Window(), std::vector<std::uint64_t>(64, 0)).empty());
}

}  // namespace
}  // namespace vhbm::interpose
