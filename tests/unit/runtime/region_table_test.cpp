// The table of regions: rows arrive whole, whoever reads them while they change.
#include "runtime/region_table.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace vhbm {
namespace {

class SharedRegions : public ::testing::Test {
 protected:
  SharedRegions() : directory_(::testing::TempDir() + "regions." + std::to_string(getpid())) {}
  ~SharedRegions() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::size_t files() const {
    const std::filesystem::directory_iterator begin(directory_), end;
    return static_cast<std::size_t>(std::distance(begin, end));
  }

  const std::string directory_;
  std::string why_not_;
};

// Every field tells of the same number.
RegionRow row_of(std::uint64_t n) {
  RegionRow row{};
  row.id = row.base = row.size = row.resident = row.host_mapped = row.idle_ns = n;
  row.confidence = static_cast<std::uint32_t>(n % 101);
  row.tag = static_cast<Tag>(n % tag_names.size());
  row.set_reason(std::to_string(n).c_str());
  return row;
}

bool equal(const RegionRow& a, const RegionRow& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

TEST_F(SharedRegions, AreReadAsTheyWereWritten) {
  RegionTable table;
  ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
  RegionRow row = row_of(7);
  row.tag = Tag::kv;
  row.held = 1;
  row.set_reason("written a little at every step");
  table.publish({&row, 1});
  const auto live = read_live_regions(directory_);
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].pid, getpid());
  EXPECT_NE(live[0].command.find("runtime_tests"), std::string::npos) << live[0].command;
  ASSERT_EQ(live[0].rows.size(), 1u);
  EXPECT_TRUE(equal(live[0].rows[0], row));
  EXPECT_STREQ(live[0].rows[0].reason, "written a little at every step");
}

TEST_F(SharedRegions, TellWhereEachGroupOfChunksIs) {
  RegionTable table;
  ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
  RegionRow rows[2] = {row_of(1), row_of(2)};
  rows[0].first_group = 0, rows[0].groups = 3;
  rows[1].resident = 2, rows[1].host_mapped = 2;  // and no groups
  const std::vector<std::uint8_t> groups = {255, 128, 0, 7, 8, 9, 10, 11, 12};
  table.publish(rows, groups);
  const auto live = read_live_regions(directory_);
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].groups, groups);
  EXPECT_EQ(live[0].groups_of(live[0].rows[0]), (std::vector<std::uint8_t>{255, 128, 0}));
  EXPECT_EQ(live[0].groups_of(live[0].rows[1]), std::vector<std::uint8_t>{127});
}

TEST(ShareOf, SaysNothingAndAllOnlyWhenItIsSo) {
  EXPECT_EQ(share_of(0, 1000), 0);
  EXPECT_EQ(share_of(1, 1000), 1);
  EXPECT_EQ(share_of(999, 1000), 254);
  EXPECT_EQ(share_of(1000, 1000), 255);
  EXPECT_EQ(share_of(0, 0), 0);
}

TEST_F(SharedRegions, CutALongReason) {
  RegionRow row{};
  row.set_reason(std::string(500, 'x').c_str());
  EXPECT_EQ(std::strlen(row.reason), sizeof row.reason - 1);
}

TEST_F(SharedRegions, AreAllOfOneMomentWhileTheyChangeAndTheFileGrows) {
  RegionTable table;
  ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
  std::atomic<bool> enough{false};
  std::thread writer([&] {
    for (std::uint64_t n = 1; !enough; ++n) {
      std::vector<RegionRow> rows(1 + n % 2000, row_of(n));
      table.publish(rows);
    }
  });
  std::uint64_t last = 0, changes = 0;
  for (int i = 0; i < 20000 && changes < 100; ++i) {
    const auto live = read_live_regions(directory_);
    if (live.empty() || live[0].rows.empty()) continue;
    const std::uint64_t n = live[0].rows[0].id;
    EXPECT_GE(n, last);
    EXPECT_EQ(live[0].rows.size(), 1 + n % 2000);
    for (const RegionRow& row : live[0].rows) {
      if (!equal(row, row_of(n))) {
        ADD_FAILURE() << "a row of moment " << row.id << " among those of " << n;
        break;
      }
    }
    changes += n != last ? 1 : 0;
    last = n;
  }
  enough = true;
  writer.join();
  EXPECT_GE(changes, 100u);
}

TEST_F(SharedRegions, LeaveOutTheSmallestBeyondTheBound) {
  RegionTable table;
  ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
  std::vector<RegionRow> rows;
  for (std::uint64_t n = 1; n <= RegionTable::most_rows + 10; ++n) rows.push_back(row_of(n));
  table.publish(rows);
  auto live = read_live_regions(directory_);
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].left_out, 10u);
  ASSERT_EQ(live[0].rows.size(), RegionTable::most_rows);
  for (const RegionRow& row : live[0].rows) ASSERT_GT(row.size, 10u);
  table.publish({rows.data(), 3});
  live = read_live_regions(directory_);
  EXPECT_EQ(live[0].rows.size(), 3u);
  EXPECT_EQ(live[0].left_out, 0u);
}

TEST_F(SharedRegions, AreReadableByThisUserOnlyAndVanishWithTheirOwner) {
  {
    RegionTable table;
    ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
    ASSERT_EQ(files(), 1u);
    struct stat status {};
    const auto path = std::filesystem::directory_iterator(directory_)->path();
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(SharedRegions, AreNotFoundOnceWithdrawn) {
  RegionTable table;
  ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
  table.withdraw();
  EXPECT_EQ(files(), 0u);
  RegionRow row = row_of(1);
  table.publish({&row, 1});  // by a pager that did not end in time
}

TEST_F(SharedRegions, OfAnotherVersionOrCutShortAreNamedAndLeftOut) {
  RegionTable table;
  ASSERT_TRUE(table.share(directory_, 0, &why_not_)) << why_not_;
  const auto path = std::filesystem::directory_iterator(directory_)->path();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offsetof(SharedHeader, layout));
    file.write("another!", 8);
  }
  std::vector<std::string> unreadable;
  EXPECT_TRUE(read_live_regions(directory_, &unreadable).empty());
  EXPECT_EQ(unreadable.size(), 1u);
  std::filesystem::resize_file(path, 100);
  EXPECT_TRUE(read_live_regions(directory_, &unreadable).empty());
  EXPECT_EQ(unreadable.size(), 2u);
}

}  // namespace
}  // namespace vhbm
