// The policy that docs/policies.md shows, as it stands there.
#include <gtest/gtest.h>

#include "candidates.h"

namespace vhbm {

Plan plan_largest(const Situation& situation);

namespace {

TEST(ExampleOfAPolicy, DoesWhatItSays) {
  std::vector<Candidate> candidates = {resident(1, 1), resident(2, 9), host(3, 5)};
  candidates[1].size = chunk * 4;
  const Plan plan = plan_largest(situation(candidates));
  EXPECT_EQ(ids(plan.promote), Ids({3}));
  EXPECT_EQ(ids(plan.evict), Ids({2}));
  candidates[2].size = chunk * 4;
  EXPECT_TRUE(plan_largest(situation(candidates)).empty());
}

}  // namespace
}  // namespace vhbm
