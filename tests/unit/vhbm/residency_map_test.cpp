// The map's cells against what the regions say.
#include <gtest/gtest.h>

#include "models.h"

namespace vhbm::cli {
namespace {

TEST(ResidencyMap, ShowsEachGroupByAddressWhereThereIsRoom) {
  const Model model = two_processes();
  const ResidencyMap map = residency_map(*model.regions_of({4712, 0}), 100);
  EXPECT_EQ(map.cell_bytes, mib(2).value);
  const std::vector<MapCell> expected = {
      {Tag::weights, 255}, {Tag::weights, 255}, {Tag::weights, 255}, {Tag::weights, 255},
      {Tag::kv, 0},        {Tag::kv, 128},      {Tag::kv, 127},      {Tag::kv, 0}};
  EXPECT_EQ(map.cells, expected);
}

TEST(ResidencyMap, JoinsGroupsWhereThereIsNot) {
  const Model model = two_processes();
  const ResidencyMap map = residency_map(*model.regions_of({4712, 0}), 3);
  EXPECT_EQ(map.cell_bytes, mib(6).value);
  ASSERT_EQ(map.cells.size(), 3u);
  EXPECT_EQ(map.cells[0], (MapCell{Tag::weights, 255}));
  EXPECT_EQ(map.cells[1].tag, Tag::kv);  // two thirds of it
  EXPECT_NEAR(map.cells[1].share, (255 + 0 + 128) / 3, 1);
  EXPECT_EQ(map.cells[2].tag, Tag::kv);  // what is left over
  EXPECT_NEAR(map.cells[2].share, 127 / 2, 1);
}

TEST(ResidencyMap, TakesTheWholeRegionWhereNoGroupsArePublished) {
  RegionsSnapshot regions;
  regions.rows = {region_of(0, Tag::kv, mib(1), mib(3))};
  const ResidencyMap map = residency_map(regions, 10);
  ASSERT_EQ(map.cells.size(), 1u);
  EXPECT_NEAR(map.cells[0].share, 63, 1);
  EXPECT_TRUE(residency_map({}, 10).cells.empty());
  EXPECT_TRUE(residency_map(regions, 0).cells.empty());
}

TEST(ResidencyMap, NeverHasMoreCellsThanAskedFor) {
  RegionsSnapshot regions;
  for (std::uint64_t i = 0; i < 97; ++i) {
    regions.rows.push_back(region_of(i, Tag::weights, mib(2 + 2 * (i % 7)), mib(2 * (i % 3))));
  }
  for (std::size_t most = 1; most < 120; ++most) {
    EXPECT_LE(residency_map(regions, most).cells.size(), most);
    EXPECT_GE(residency_map(regions, most).cells.size(), most < 10 ? 1 : most / 3);
  }
}

}  // namespace
}  // namespace vhbm::cli
