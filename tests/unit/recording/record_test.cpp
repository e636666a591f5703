// Records as bytes, and back.
#include "runtime/recording/record.h"

#include <gtest/gtest.h>

namespace vhbm::recording {
namespace {

using std::chrono::nanoseconds;

std::vector<Record> of_every_kind() {
  return {
      {nanoseconds(0),
       region{7, 1, 512, 9 << 20, 2 << 20, 1, 80, 0, 1, "filled, then read", {0, 5}}},
      {nanoseconds(5), region_changed{7, 2, 100, 1, 0, "`vhbm tag`"}},
      {nanoseconds(5), region_gone{UINT64_MAX}},
      {nanoseconds(1) * (1ll << 40), uses{9, 1, {packed_use(200, 7), packed_use(1, 0), 3}}},
      {nanoseconds(6), flip{1, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 2 << 20, 11, 12, {9, 8, 1000}, {}}},
      {nanoseconds(7), closure{1, 2, 3}},
      {nanoseconds(8), waits{4, 5}},
      {nanoseconds(9), guard{1, 2, 3}},
      {nanoseconds(10), sleep{2}},
      {nanoseconds(11), limits{1, 2, 3, 4, 5, UINT64_MAX}},
      {nanoseconds(12), option{"hbm_limit", ""}},
      {nanoseconds(13), kernel{"gemm<float>", 3, 100, 200}},
      {nanoseconds(14), left_out{3, 900}},
      {nanoseconds(15), end{"it was told to"}},
  };
}

TEST(Records, OfEveryKindComeBackAsTheyWere) {
  const std::vector<Record> records = of_every_kind();
  ASSERT_EQ(records.size(), std::variant_size_v<Content> - 1) << "a kind is missing here";
  std::string bytes;
  for (const Record& record : records) append(record, bytes);
  std::string_view left = bytes;
  for (const Record& expected : records) {
    Record read;
    std::string why;
    ASSERT_TRUE(take(left, read, &why)) << why;
    EXPECT_EQ(read, expected) << kind_names[expected.content.index()];
  }
  EXPECT_TRUE(left.empty());
}

TEST(Records, ThatAreCutOffAnywhereAreRefusedAndNothingIsReadBeyond) {
  for (const Record& record : of_every_kind()) {
    std::string bytes;
    append(record, bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const std::string shorter = bytes.substr(0, size);
      std::string_view left = shorter;
      Record read;
      std::string why;
      EXPECT_FALSE(take(left, read, &why)) << kind_names[record.content.index()] << " " << size;
      EXPECT_FALSE(why.empty());
    }
  }
}

// The length in front says 5, and the list within that it has a million entries.
TEST(Records, ThatClaimMoreThanTheyHaveNameTheField) {
  const std::string bytes = {4, 7, 0, 1, 0, '\xc0', '\x84', '\x3d', 0};
  std::string_view left = bytes;
  Record read;
  std::string why;
  EXPECT_FALSE(take(left, read, &why));
  EXPECT_EQ(why, "a record of kind uses: its field list is cut off");
}

TEST(Records, OfALaterVersionAreSkipped) {
  std::string bytes = {100, 3, 1, 2, 3};
  append({nanoseconds(5), waits{1, 2}}, bytes);
  std::string_view left = bytes;
  Record read;
  std::string why;
  ASSERT_TRUE(take(left, read, &why));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(read.content));
  ASSERT_TRUE(take(left, read, &why));
  EXPECT_EQ(std::get<waits>(read.content), (waits{1, 2}));
}

// One with fewer fields, as an earlier version wrote it, and one with more.
TEST(Records, OfOtherVersionsOfAKindKeepWhatIsKnown) {
  const std::string bytes = {7, 2, 5, 9, 7, 4, 6, 1, 2, 3};
  std::string_view left = bytes;
  Record read;
  std::string why;
  ASSERT_TRUE(take(left, read, &why)) << why;
  EXPECT_EQ(read, (Record{nanoseconds(5), waits{9, 0}}));
  ASSERT_TRUE(take(left, read, &why)) << why;
  EXPECT_EQ(read, (Record{nanoseconds(6), waits{1, 2}}));
}

}  // namespace
}  // namespace vhbm::recording
