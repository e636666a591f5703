#include "top/grid.h"

#include <gtest/gtest.h>

#include <clocale>

namespace vhbm::cli {
namespace {

class Grids : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr); }
  void TearDown() override { std::setlocale(LC_CTYPE, "C"); }
};

TEST_F(Grids, CutWhatDoesNotFit) {
  Grid grid(5, 2, false);
  EXPECT_EQ(grid.put(0, 2, "abcdef"), 5);
  EXPECT_EQ(grid.put(7, 0, "abc"), 0);
  grid.put_right(1, 5, "xy");
  EXPECT_EQ(grid.to_text(), "  abc\n   xy\n");
}

TEST_F(Grids, GiveAWideCharacterTwoCellsOrNone) {
  Grid grid(5, 1, false);
  EXPECT_EQ(grid.put(0, 0, "模型模型"), 4);
  EXPECT_EQ(grid.at(0, 1).character, 0u);
  EXPECT_EQ(grid.at(0, 4), Cell{});
  EXPECT_EQ(grid.to_text(), "模型\n");
}

TEST_F(Grids, ShowNoControlCodesAndNoBrokenText) {
  Grid grid(12, 1, false);
  grid.put(0, 0, "a\033[2Jb\xff\xe6\xa8");
  EXPECT_EQ(grid.to_text().substr(0, 6), "a?[2Jb");
  EXPECT_EQ(grid.to_text().find('\xff'), std::string::npos);
  Grid ascii(4, 1, true);
  ascii.put(0, 0, "é█");
  EXPECT_EQ(ascii.to_text(), "??\n");
}

}  // namespace
}  // namespace vhbm::cli
