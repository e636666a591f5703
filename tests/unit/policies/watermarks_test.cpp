// Watermarks: from when on chunks leave, and until when.
#include "policies/watermarks.h"

#include <gtest/gtest.h>

#include "candidates.h"

namespace vhbm {
namespace {

Situation filled_with(const std::vector<Candidate>& candidates, bool draining) {
  Situation made = situation(candidates);
  made.watermarks = {chunk * 4, chunk * 2};
  made.memory.draining = draining;
  made.free_hbm = chunk * 10;
  return made;
}

std::vector<Candidate> residents(std::uint32_t count) {
  std::vector<Candidate> made;
  for (std::uint32_t i = 0; i < count; ++i) made.push_back(resident(i, 1));
  return made;
}

TEST(Watermarks, DrainFromAboveTheHighOneToTheLowOne) {
  const auto five = residents(5), four = residents(4), three = residents(3), two = residents(2);
  EXPECT_EQ(within_watermarks(filled_with(four, false)).must_leave, Bytes{0});
  EXPECT_EQ(within_watermarks(filled_with(five, false)).must_leave, chunk * 3);
  EXPECT_EQ(within_watermarks(filled_with(three, true)).must_leave, chunk);
  EXPECT_EQ(within_watermarks(filled_with(three, false)).must_leave, Bytes{0});
  EXPECT_FALSE(within_watermarks(filled_with(two, true)).memory.draining);
}

TEST(Watermarks, LetNothingInThatWouldHaveToLeave) {
  const auto three = residents(3);
  EXPECT_EQ(within_watermarks(filled_with(three, false)).free_hbm, chunk);
}

TEST(Watermarks, ChangeNothingWhereThereAreNone) {
  const auto five = residents(5);
  Situation made = situation(five);
  made.free_hbm = chunk;
  EXPECT_EQ(within_watermarks(made).must_leave, Bytes{0});
  EXPECT_EQ(within_watermarks(made).free_hbm, chunk);
}

}  // namespace
}  // namespace vhbm
