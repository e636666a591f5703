// The registry: what a user can name is there, and what is there can be named.
#include "policies/policy.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace vhbm {
namespace {

TEST(Policies, AreFoundByName) {
  ASSERT_NE(find_policy("lru"), nullptr);
  EXPECT_EQ(find_policy("no such policy"), nullptr);
  EXPECT_EQ(find_policy(""), nullptr);
}

TEST(Policies, HaveDistinctNamesAndADescription) {
  std::set<std::string> names;
  for (const Policy& policy : policies()) {
    EXPECT_TRUE(names.insert(policy.name).second) << policy.name;
    EXPECT_GT(std::string(policy.text).size(), 10u);
  }
}

TEST(Policies, MoveNothingWhereThereIsNothing) {
  for (const Policy& policy : policies()) EXPECT_TRUE(policy.plan(Situation{}).empty());
}

}  // namespace
}  // namespace vhbm
