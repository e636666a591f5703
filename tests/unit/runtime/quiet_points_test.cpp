// When a flip waits for the application to wait, and when the application waits for a flip.
#include "runtime/quiet_points.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace vhbm {
namespace {

using namespace std::chrono_literals;
using Clock = QuietPoints::Clock;

class QuietPointsTest : public ::testing::Test {
 protected:
  // A round of the pager that has something to flip.
  bool round_waits(bool urgent = false) {
    points_.round_begins();
    const bool waits = points_.wait(urgent);
    points_.round_ends();
    return waits;
  }
  QuietPoints points_;
};

TEST_F(QuietPointsTest, AreNotWaitedForWhereNoneCome) {
  EXPECT_FALSE(round_waits());
  EXPECT_FALSE(points_.came()) << "nobody waits for it";
}

TEST_F(QuietPointsTest, AreWaitedForWhereTheyCome) {
  points_.came();
  EXPECT_TRUE(round_waits());
  EXPECT_TRUE(round_waits());
  EXPECT_FALSE(points_.at_one());
  EXPECT_TRUE(points_.came());
  EXPECT_FALSE(round_waits());
  EXPECT_TRUE(points_.at_one());
}

TEST_F(QuietPointsTest, HaveComeFromThatOnUntilTheWaitEnds) {
  points_.came();
  EXPECT_FALSE(points_.came_since()) << "nothing waits";
  EXPECT_TRUE(round_waits());
  EXPECT_FALSE(points_.came_since());
  points_.came();
  EXPECT_TRUE(points_.came_since());
  EXPECT_FALSE(round_waits());
  EXPECT_FALSE(points_.came_since());
}

TEST_F(QuietPointsTest, AreNotWaitedForInVain) {
  points_.came();
  const auto begin = Clock::now();
  while (round_waits()) std::this_thread::sleep_for(1ms);
  EXPECT_GE(Clock::now() - begin, 20ms);
  EXPECT_FALSE(points_.at_one());
}

TEST_F(QuietPointsTest, AreWaitedForLongerWhereTheyLieFarApart) {
  for (int i = 0; i < 8; ++i) {
    std::this_thread::sleep_for(25ms);
    points_.came();
    points_.round_begins();
  }
  const auto begin = Clock::now();
  while (round_waits()) std::this_thread::sleep_for(1ms);
  EXPECT_GE(Clock::now() - begin, 60ms);
}

TEST_F(QuietPointsTest, AreWaitedForAgainAfterAFlipAtOne) {
  for (int i = 0; i < 4; ++i) points_.came();
  EXPECT_TRUE(round_waits());
  points_.came();
  EXPECT_FALSE(round_waits());
  EXPECT_TRUE(round_waits()) << "what follows would come amid the next step";
}

TEST_F(QuietPointsTest, AreNotWaitedForWhereItIsUrgent) {
  points_.came();
  EXPECT_TRUE(round_waits());
  EXPECT_FALSE(round_waits(true));
  EXPECT_FALSE(points_.at_one());
}

TEST_F(QuietPointsTest, KeepOneThreadEachTime) {
  points_.came();
  ASSERT_TRUE(round_waits());
  EXPECT_TRUE(points_.came());
  EXPECT_FALSE(points_.came()) << "also where the pager is stuck and ends no round any more";
}

// The shortest of many tries: a busy machine makes any one long.
Clock::duration shortest_hand_over(const Gate& gate) {
  Clock::duration shortest = Clock::duration::max();
  for (int i = 0; i < 50; ++i) {
    const auto begin = Clock::now();
    QuietPoints::hand_over(gate);
    shortest = std::min<Clock::duration>(shortest, Clock::now() - begin);
  }
  return shortest;
}

TEST_F(QuietPointsTest, KeepAThreadUntilTheGateIsClosedOrForAMoment) {
  Gate gate;
  EXPECT_GE(shortest_hand_over(gate), 200us);
  EXPECT_LT(shortest_hand_over(gate), 20ms);
  ASSERT_TRUE(gate.close(Clock::now() + 1s));
  EXPECT_LT(shortest_hand_over(gate), 200us);
  gate.open();
}

}  // namespace
}  // namespace vhbm
