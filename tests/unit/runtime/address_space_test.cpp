// Carving the window.
#include "runtime/address_space.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace vhbm {
namespace {

constexpr DeviceAddress begin{0x4000'0000};

TEST(AddressSpace, CarvesTheLowestFreeRange) {
  AddressSpace space(begin, mib(64));
  const auto a = space.carve(mib(4), mib(2));
  const auto b = space.carve(mib(4), mib(2));
  EXPECT_EQ(*a, begin);
  EXPECT_EQ(*b, begin + mib(4));
  space.give_back(*a, mib(4));
  EXPECT_EQ(*space.carve(mib(2), mib(2)), begin);
}

TEST(AddressSpace, RoundsUpToBasePages) {
  AddressSpace space(begin, mib(8));
  EXPECT_EQ(*space.carve({1}, mib(2)), begin);
  EXPECT_EQ(*space.carve({1}, mib(2)), begin + mib(2));
  EXPECT_EQ(space.carved(), mib(4));
}

TEST(AddressSpace, AlignsAndLeavesTheGapUsable) {
  AddressSpace space(begin, mib(64));
  EXPECT_EQ(*space.carve(mib(2), mib(2)), begin);
  EXPECT_EQ(*space.carve(mib(8), mib(16)), begin + mib(16));
  EXPECT_EQ(*space.carve(mib(14), mib(2)), begin + mib(2));
}

TEST(AddressSpace, RefusesWhatFitsNowhere) {
  AddressSpace space(begin, mib(8));
  EXPECT_FALSE(space.carve({0}, mib(2)).has_value());
  EXPECT_FALSE(space.carve(mib(10), mib(2)).has_value());
  EXPECT_TRUE(space.carve(mib(8), mib(2)).has_value());
  EXPECT_FALSE(space.carve(mib(2), mib(2)).has_value());
}

TEST(AddressSpace, MergesNeighboursWhateverTheOrderOfFrees) {
  for (const auto& order : {std::vector{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}}) {
    AddressSpace space(begin, mib(12));
    std::vector<DeviceAddress> ranges;
    for (int i = 0; i < 3; ++i) ranges.push_back(*space.carve(mib(4), mib(2)));
    for (const int i : order) space.give_back(ranges[static_cast<std::size_t>(i)], mib(4));
    EXPECT_EQ(space.free_ranges(), 1u);
    EXPECT_EQ(space.carved(), Bytes{0});
    EXPECT_EQ(*space.carve(mib(12), mib(2)), begin);
  }
}

TEST(AddressSpace, NeverHandsOutARangeTwice) {
  AddressSpace space(begin, mib(512));
  std::map<DeviceAddress, Bytes> taken;
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    if (random() % 2 == 0 || taken.empty()) {
      const Bytes size = mib(2) * (1 + random() % 12);
      const auto range = space.carve(size, mib(2) * (1u << random() % 3));
      if (!range) continue;
      const auto after = taken.lower_bound(*range);
      if (after != taken.end()) {
        ASSERT_LE(*range + size, after->first);
      }
      if (after != taken.begin()) {
        const auto before = std::prev(after);
        ASSERT_LE(before->first + before->second, *range);
      }
      ASSERT_GE(*range, begin);
      ASSERT_LE(*range + size, begin + mib(512));
      taken.emplace(*range, size);
    } else {
      auto victim = std::next(taken.begin(), static_cast<long>(random() % taken.size()));
      space.give_back(victim->first, victim->second);
      taken.erase(victim);
    }
  }
  for (const auto& [range, size] : taken) space.give_back(range, size);
  EXPECT_EQ(space.free_ranges(), 1u);
}

}  // namespace
}  // namespace vhbm
