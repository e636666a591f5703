// What other processes may still lock, from the statistics of one with two devices.
#include "runtime/host_promises.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/stats.h"

namespace vhbm {
namespace {

class HostPromisesTest : public ::testing::Test {
 protected:
  HostPromisesTest() : root_(::testing::TempDir() + "promises." + std::to_string(getpid())) {
    std::filesystem::create_directories(root_);
    std::filesystem::permissions(root_, std::filesystem::perms::owner_all);
    write("self", "0::/server\n");
    for (Stats* stats : {&first_, &second_}) {
      std::string why_not;
      EXPECT_TRUE(stats->share(root_, stats == &second_ ? 1 : 0, &why_not)) << why_not;
      stats->set(Stat::host_limit, gib(8).value);
      stats->set(Stat::host_bytes, gib(2).value);
    }
    first_.set(Stat::application_host_bytes, gib(1).value);
  }
  ~HostPromisesTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& process, const std::string& cgroup) const {
    const std::string folder = root_ + "/proc/" + process;
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/cgroup") << cgroup;
  }

  const std::string root_;
  Stats first_, second_;
};

TEST_F(HostPromisesTest, AreWhatIsNotLockedYet) {
  const HostPromises promised = promised_to_others(root_, root_);
  EXPECT_EQ(promised.node, gib(3));
  EXPECT_EQ(promised.cgroup, Bytes{});  // whose cgroup cannot be read
}

TEST_F(HostPromisesTest, AreOfACgroupWhereItIsTheSame) {
  write(std::to_string(getpid()), "0::/server\n");
  EXPECT_EQ(promised_to_others(root_, root_).cgroup, gib(3));
  write(std::to_string(getpid()), "0::/another\n");
  EXPECT_EQ(promised_to_others(root_, root_).cgroup, Bytes{});
}

// As of a process that ends between opening its file and reading it.
TEST_F(HostPromisesTest, AreOfNoCgroupWhereReadingFails) {
  std::filesystem::create_directories(root_ + "/proc/" + std::to_string(getpid()) + "/cgroup");
  const HostPromises promised = promised_to_others(root_, root_);
  EXPECT_EQ(promised.node, gib(3));
  EXPECT_EQ(promised.cgroup, Bytes{});
}

TEST_F(HostPromisesTest, AreNoneOfWhoLockedMoreThanItsLimit) {
  second_.set(Stat::host_bytes, gib(20).value);
  EXPECT_EQ(promised_to_others(root_, root_).node, Bytes{});
}

TEST(HostPromises, AreNoneWhereNobodyIs) {
  EXPECT_EQ(promised_to_others("/nowhere").node, Bytes{});
}

}  // namespace
}  // namespace vhbm
