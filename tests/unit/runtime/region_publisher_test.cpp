// What others are told of the regions is what the page table says.
#include <algorithm>

#include "runtime/region_table.h"
#include "two_regions.h"

namespace vhbm {
namespace {

class PublishedRegions : public TwoRegions {};

TEST_F(PublishedRegions, TellOfEachChunkWhereItIs) {
  make_pressure(options(16, 64));
  ASSERT_TRUE(bring(second_));
  EXPECT_TRUE(eventually([&] {
    std::size_t rows = 0;
    for (const auto& process : read_live_regions(state_dir_)) {
      for (const RegionRow& row : process.rows) {
        const auto groups = process.groups_of(row);
        if (groups.size() != 6) return false;
        const auto in_hbm = std::count(groups.begin(), groups.end(), 255);
        const auto in_host = std::count(groups.begin(), groups.end(), 0);
        if (in_hbm + in_host != 6 || row.resident != mib(2).value * in_hbm) return false;
        ++rows;
      }
    }
    return rows == 2;
  }));
}

TEST_F(PublishedRegions, CountAsInUseWhileWorkNamesThemAndASecondLonger) {
  make_pressure(options(16, 64));
  EXPECT_TRUE(use_until(first_, [&] { return stat_bytes(Stat::working_set_bytes) >= mib(12); }));
  EXPECT_LE(stat_bytes(Stat::working_set_bytes), mib(24));
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::working_set_bytes) == Bytes{0}; }));
}

}  // namespace
}  // namespace vhbm
