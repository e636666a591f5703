// From many threads to one, without anybody waiting.
#include "runtime/use_log.h"

#include <gtest/gtest.h>

#include <barrier>
#include <map>
#include <thread>
#include <vector>

namespace vhbm {
namespace {

TEST(UseLog, HandsOverWhatWasAddedInOrder) {
  UseLog log;
  ASSERT_TRUE(log.reserve().ok());
  std::vector<std::uint32_t> seen;
  const auto take = [&](Use use) { seen.push_back(use.region); };
  EXPECT_TRUE(log.read(take));
  EXPECT_TRUE(seen.empty());
  const std::vector<std::uint32_t> first = {5, 0, (1u << 28) - 1}, second = {7};
  log.add(first);
  log.add(second);
  EXPECT_TRUE(log.read(take));
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{5, 0, (1u << 28) - 1, 7}));
  EXPECT_TRUE(log.read(take));
  EXPECT_EQ(seen.size(), 4u);
}

TEST(UseLog, SaysThatItLostWhatNobodyReadInTime) {
  UseLog log;
  ASSERT_TRUE(log.reserve().ok());
  for (std::uint32_t i = 0; i < UseLog::capacity + 10; ++i) log.add({&i, 1});
  std::uint32_t last = 0;
  std::size_t count = 0;
  const auto take = [&](Use use) { last = use.region, ++count; };
  EXPECT_FALSE(log.read(take));
  EXPECT_EQ(last, UseLog::capacity + 9);
  EXPECT_GT(count, 0u);
  const std::uint32_t next = 3;
  log.add({&next, 1});
  EXPECT_TRUE(log.read(take));
  EXPECT_EQ(last, 3u);
}

TEST(UseLog, LosesNothingOfManyThreadsThatTheReaderKeepsUpWith) {
  UseLog log;
  ASSERT_TRUE(log.reserve().ok());
  constexpr std::uint32_t rounds = 30, each = 10'000;
  static_assert(3 * each < UseLog::capacity && 3 * each * rounds > 10 * UseLog::capacity);
  std::barrier round(4);
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < each * rounds; i += 2) {
        const std::uint32_t pair[] = {t << 24 | i, t << 24 | (i + 1)};
        log.add(pair);
        if ((i + 2) % each == 0) round.arrive_and_wait();
      }
    });
  }
  std::map<std::uint32_t, std::uint32_t> next, lane;
  const auto take = [&](Use use) {
    const std::uint32_t thread = use.region >> 24, number = use.region & 0xffffff;
    EXPECT_EQ(number, next[thread]++);
    if (number == 0) lane[thread] = use.lane;
    EXPECT_EQ(use.lane, lane[thread]);
  };
  for (std::uint32_t i = 0; i < rounds; ++i) {
    EXPECT_TRUE(log.read(take));
    round.arrive_and_wait();
    EXPECT_TRUE(log.read(take));
  }
  EXPECT_TRUE(log.read(take));
  EXPECT_EQ(next.size(), 3u);
  for (const auto& [thread, count] : next) EXPECT_EQ(count, each * rounds);
}

}  // namespace
}  // namespace vhbm
