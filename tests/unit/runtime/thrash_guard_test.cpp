// When moving does not pay.
#include "runtime/thrash_guard.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

using std::chrono::seconds;
constexpr Bytes chunk = mib(2);

class Thrashing : public ::testing::Test {
 protected:
  // Chunks come, are used so many times, and leave.
  void come_and_leave(int chunks, std::uint64_t uses) {
    for (int i = 0; i < chunks; ++i) {
      guard_.came(3, chunk, used_);
      used_ += uses;
      guard_.left(3, chunk, used_);
    }
    guard_.judge(now_, chunk * 8);
  }
  bool active() const { return guard_.active(now_); }

  ThrashGuard guard_;
  std::uint64_t used_ = 10;
  ThrashGuard::Time now_{seconds(1000)};
};

TEST_F(Thrashing, IsNoticedWhereChunksLeaveAgainUnused) {
  come_and_leave(8, 1);
  EXPECT_TRUE(active());
  EXPECT_EQ(guard_.in_vain(), chunk * 8);
  EXPECT_EQ(guard_.verdicts(), 1u);
  now_ += seconds(1);
  EXPECT_FALSE(active());
}

TEST_F(Thrashing, IsNotWhatIsUsedTwice) {
  come_and_leave(100, 2);
  EXPECT_FALSE(active());
  EXPECT_EQ(guard_.in_vain(), Bytes{0});
}

TEST_F(Thrashing, IsNotJudgedByALittle) {
  come_and_leave(7, 0);
  EXPECT_FALSE(active());
}

TEST_F(Thrashing, IsNotWhatComesAndStays) {
  for (int i = 0; i < 100; ++i) guard_.came(3, chunk, used_);
  guard_.judge(now_, chunk * 8);
  EXPECT_FALSE(active());
}

TEST_F(Thrashing, IsNotWhatWasThereBefore) {
  for (int i = 0; i < 100; ++i) guard_.left(5, chunk, used_);
  guard_.judge(now_, chunk * 8);
  EXPECT_FALSE(active());
}

TEST_F(Thrashing, IsNotWhatASleepTakesOut) {
  for (int i = 0; i < 100; ++i) {
    guard_.came(3, chunk, used_);
    guard_.forget(3, chunk);
    guard_.left(3, chunk, used_);
  }
  guard_.judge(now_, chunk * 8);
  EXPECT_FALSE(active());
}

TEST_F(Thrashing, IsTriedAgainLessAndLessOften) {
  for (const int pause : {1, 2, 4, 8, 16, 32, 64, 64}) {
    come_and_leave(8, 0);
    now_ += seconds(pause) - std::chrono::nanoseconds(1);
    EXPECT_TRUE(active()) << pause;
    now_ += std::chrono::nanoseconds(1);
    EXPECT_FALSE(active()) << pause;
  }
}

TEST_F(Thrashing, IsForgivenOnceMovesPaidForAsLong) {
  for (int i = 0; i < 4; ++i) come_and_leave(8, 0);
  now_ += seconds(8);
  EXPECT_FALSE(active());
  come_and_leave(8, 5);
  now_ += seconds(8);
  come_and_leave(8, 0);
  now_ += seconds(1);
  EXPECT_FALSE(active());
}

// What stayed during a pause left after many uses.
TEST_F(Thrashing, IsNotForgivenForWhatThePauseDid) {
  come_and_leave(8, 0);
  now_ += seconds(1);
  come_and_leave(8, 9);
  come_and_leave(8, 0);
  now_ += seconds(1);
  EXPECT_TRUE(active());
  now_ += seconds(1);
  EXPECT_FALSE(active());
}

}  // namespace
}  // namespace vhbm
