// CUPTI's clock against this machine's. A CUPTI of a few lines tells a time that a test moves.
#include "runtime/cupti/cupti_clock.h"

#include <gtest/gtest.h>

#include <ctime>

namespace vhbm {
namespace {

std::uint64_t monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t ahead = 0;
CuptiResult tell_time(std::uint64_t* time) {
  *time = monotonic_now() + ahead;
  return CuptiResult::success;
}
CuptiResult tell_nothing(std::uint64_t*) {
  return static_cast<CuptiResult>(15);
}

CuptiFunctions telling(CuptiResult (*time)(std::uint64_t*)) {
  CuptiFunctions made;
  made.GetTimestamp = time;
  return made;
}

constexpr std::int64_t hour = 3'600'000'000'000;
// Readings are that exact, however busy the machine is.
constexpr std::int64_t exact = 1'000'000;

TEST(CuptiClock, FindsHowFarItIsAhead) {
  ahead = hour;
  CuptiClock clock;
  ASSERT_TRUE(clock.compare(telling(&tell_time)));
  EXPECT_NEAR(static_cast<double>(clock.monotonic(2 * hour)), hour, exact);
}

TEST(CuptiClock, StaysWhereNothingContradictsIt) {
  ahead = hour;
  CuptiClock clock;
  ASSERT_TRUE(clock.compare(telling(&tell_time)));
  const std::int64_t before = clock.monotonic(2 * hour);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(clock.compare(telling(&tell_time)));
  EXPECT_EQ(clock.monotonic(2 * hour), before);
}

TEST(CuptiClock, FollowsAClockThatWasSet) {
  ahead = 2 * hour;
  CuptiClock clock;
  ASSERT_TRUE(clock.compare(telling(&tell_time)));
  ahead = hour;
  ASSERT_TRUE(clock.compare(telling(&tell_time)));
  EXPECT_NEAR(static_cast<double>(clock.monotonic(2 * hour)), hour, exact);
  ahead = 2 * hour;
  ASSERT_TRUE(clock.compare(telling(&tell_time)));
  EXPECT_NEAR(static_cast<double>(clock.monotonic(2 * hour)), 0, exact);
}

TEST(CuptiClock, SaysWhenThereIsNone) {
  CuptiClock clock;
  EXPECT_FALSE(clock.compare(telling(&tell_nothing)));
}

}  // namespace
}  // namespace vhbm
