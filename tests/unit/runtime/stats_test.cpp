// Statistics: counted, shared, read by others, and gone with their process.
#include "runtime/stats.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <vector>

#include "runtime/stats_reader.h"
#include "runtime/units.h"

namespace vhbm {
namespace {

class SharedStats : public ::testing::Test {
 protected:
  SharedStats() : directory_(::testing::TempDir() + "stats." + std::to_string(getpid())) {}
  ~SharedStats() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::size_t files() const {
    const std::filesystem::directory_iterator begin(directory_), end;
    return static_cast<std::size_t>(std::distance(begin, end));
  }

  const std::string directory_;
  std::string why_not_;
};

TEST(Stats, AddSetAndRaise) {
  Stats stats;
  stats.add(Stat::flips, 2);
  stats.add(Stat::flips, 3);
  stats.set(Stat::regions, 7);
  stats.raise(Stat::stall_max_ns, 10);
  stats.raise(Stat::stall_max_ns, 4);
  EXPECT_EQ(stats.get(Stat::flips), 5u);
  EXPECT_EQ(stats.get(Stat::regions), 7u);
  EXPECT_EQ(stats.get(Stat::stall_max_ns), 10u);
}

TEST(Stats, LoseNothingUnderThreads) {
  Stats stats;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10000; ++n) stats.add(Stat::flips, 1);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(stats.get(Stat::flips), 80000u);
}

TEST(Stats, HaveDistinctNamesAndATextEach) {
  std::set<std::string> names;
  for (const StatRow& row : stat_rows) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_GT(std::string(row.text).size(), 8u) << row.name;
  }
}

TEST_F(SharedStats, AreReadByOthersWithWhatWasCountedBefore) {
  Stats stats;
  stats.add(Stat::evicted_bytes, 1000);
  ASSERT_TRUE(stats.share(directory_, 0, &why_not_)) << why_not_;
  stats.add(Stat::evicted_bytes, 24);
  const auto live = read_live_stats(directory_);
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].pid, getpid());
  EXPECT_EQ(live[0][Stat::evicted_bytes], 1024u);
  EXPECT_NE(live[0].command.find("runtime_tests"), std::string::npos) << live[0].command;
}

TEST_F(SharedStats, AreReadableByThisUserOnly) {
  Stats stats;
  ASSERT_TRUE(stats.share(directory_, 0, &why_not_)) << why_not_;
  struct stat status {};
  ASSERT_EQ(stat(directory_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
  }
}

TEST_F(SharedStats, AreNotPutIntoADirectoryThatOthersMayWrite) {
  std::filesystem::create_directory(directory_);
  std::filesystem::permissions(directory_, std::filesystem::perms::all);
  Stats stats;
  EXPECT_FALSE(stats.share(directory_, 0, &why_not_));
  EXPECT_NE(why_not_.find(directory_), std::string::npos) << why_not_;
  stats.add(Stat::flips, 1);
  EXPECT_EQ(stats.get(Stat::flips), 1u);
}

TEST_F(SharedStats, VanishWithTheirOwner) {
  {
    Stats stats;
    ASSERT_TRUE(stats.share(directory_, 0, &why_not_)) << why_not_;
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(SharedStats, OfAKilledProcessAreNotShownAndAreRemovedByTheNext) {
  const pid_t child = fork();
  if (child == 0) {
    auto* stats = new Stats;
    _exit(stats->share(directory_, 0, &why_not_) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(files(), 1u);
  EXPECT_TRUE(read_live_stats(directory_).empty());
  ASSERT_EQ(read_last_stats(directory_, child).size(), 1u);
  EXPECT_EQ(read_last_stats(directory_, child).front().pid, child);
  EXPECT_TRUE(read_last_stats(directory_, getpid()).empty());
  Stats stats;
  ASSERT_TRUE(stats.share(directory_, 0, &why_not_)) << why_not_;
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(read_live_stats(directory_).size(), 1u);
}

TEST_F(SharedStats, StayTheParentsWhenItForks) {
  Stats stats;
  ASSERT_TRUE(stats.share(directory_, 0, &why_not_)) << why_not_;
  const pid_t child = fork();
  if (child == 0) {
    stats.unshare_in_child();
    stats.add(Stat::flips, 1000);
    _exit(stats.get(Stat::flips) == 1000 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const auto live = read_live_stats(directory_);
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0][Stat::flips], 0u);
}

TEST_F(SharedStats, OfAnotherVersionAreNamedAndLeftOut) {
  Stats stats;
  ASSERT_TRUE(stats.share(directory_, 0, &why_not_)) << why_not_;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offsetof(StatsFile, header.layout));
    file.write("another!", 8);
  }
  std::vector<std::string> unreadable;
  EXPECT_TRUE(read_live_stats(directory_, &unreadable).empty());
  EXPECT_EQ(unreadable.size(), 1u);
}

TEST(StatsSnapshot, BecomesJson) {
  StatsSnapshot snapshot;
  snapshot.pid = 42;
  snapshot.command = "server \"quoted\" \xff";
  snapshot.values[static_cast<std::size_t>(Stat::hbm_limit)] = gib(2).value;
  snapshot.values[static_cast<std::size_t>(Stat::stall_ns)] = 1'500'000;
  snapshot.frozen = FreezeCause::request;
  const auto json = nlohmann::json::parse(snapshot.to_json());
  EXPECT_EQ(json["pid"], 42);
  EXPECT_EQ(json["hbm_limit"], gib(2).value);
  EXPECT_EQ(json["frozen_by"], "request");
  for (const StatRow& row : stat_rows) EXPECT_TRUE(json.contains(row.name)) << row.name;
}

TEST(StateDirectory, IsOnePerUserUnlessItIsSet) {
  EXPECT_EQ(state_directory("/somewhere"), "/somewhere");
  EXPECT_EQ(state_directory(""), "/dev/shm/vhbm-" + std::to_string(geteuid()));
}

}  // namespace
}  // namespace vhbm
