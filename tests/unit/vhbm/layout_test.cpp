// Layouts at several sizes, drawn without a terminal.
#include "top/layout.h"

#include <gtest/gtest.h>

#include <clocale>

#include "models.h"

namespace vhbm::cli {
namespace {

class Layout : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr); }
  void TearDown() override { std::setlocale(LC_CTYPE, "C"); }

  const Model model_ = two_processes();
  View view_;
};

std::string row_of(const Grid& grid, const std::string& word) {
  std::istringstream lines(grid.to_text());
  for (std::string line; std::getline(lines, line);) {
    if (line.find(word) != std::string::npos) return line;
  }
  return "no row holds " + word;
}

TEST_F(Layout, ShowsEverythingWhereThereIsRoom) {
  view_.chosen = Target{4712, 0};
  const Grid grid = draw(model_, view_, {.width = 130, .height = 30});
  EXPECT_EQ(row_of(grid, "vhbm top").substr(0, 40), "vhbm top  2 processes, by pid, every 1 s");
  EXPECT_NE(row_of(grid, "vhbm top").find("12:34:56"), std::string::npos);
  EXPECT_NE(row_of(grid, "HBM  ").find("35%  42.0 GiB of 120.0 GiB"), std::string::npos);
  EXPECT_NE(row_of(grid, "to HBM").find("25%  5.00 GB/s of 20.00 GB/s at best"), std::string::npos);
  EXPECT_EQ(row_of(grid, "4712  "),
            "   4712   0 on     █████·····  30.0 GiB ██········  25.0 GiB  5.00 GB/s  2.00 MB/s"
            "   3.4%        0 python3 -m vllm serve");
  EXPECT_EQ(row_of(grid, "4711  "),
            "   4711   0 on     ██········  12.0 GiB ··········         0"
            "                                     0 server --model small");
  EXPECT_EQ(row_of(grid, "Process 4712"),
            "Process 4712: 0 in HBM, 0 in host memory; a cell is 2.0 MiB");
  EXPECT_EQ(row_of(grid, "████░▓▒░"), "████░▓▒░");
  EXPECT_EQ(row_of(grid, "kv      "), "kv               1     2.0 MiB     6.0 MiB");
}

TEST_F(Layout, TellsWhoSleepsAndWhoIsFrozen) {
  Model model = model_;
  model.processes[0].stats.values[static_cast<std::size_t>(Stat::asleep)] = 1;
  model.processes[1].stats.frozen = FreezeCause::request;
  const Grid grid = draw(model, view_, {.width = 130, .height = 30});
  EXPECT_NE(row_of(grid, "4711  ").find(" asleep "), std::string::npos);
  EXPECT_NE(row_of(grid, "4712  ").find(" frozen "), std::string::npos);
}

TEST_F(Layout, InksSayWhatARegionHolds) {
  view_.chosen = Target{4712, 0};
  const Grid grid = draw(model_, view_, {.width = 130, .height = 30});
  for (int row = 0; row < grid.height(); ++row) {
    if (grid.at(row, 0).character != U'█' || grid.at(row, 4).character != U'░') continue;
    EXPECT_EQ(grid.at(row, 0).ink, Ink::weights);
    EXPECT_EQ(grid.at(row, 4).ink, Ink::kv);
    return;
  }
  FAIL() << grid.to_text();
}

TEST_F(Layout, SaysByLettersWhatColoursWould) {
  view_.chosen = Target{4712, 0};
  Canvas canvas{.width = 80, .height = 24, .colourless = true};
  EXPECT_EQ(row_of(draw(model_, view_, canvas), "WWWW"), "WWWWkKkk");
  canvas.ascii = true;
  const std::string text = draw(model_, view_, canvas).to_text();
  for (const char c : text) ASSERT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << text;
  EXPECT_NE(text.find("WWWWkKkk"), std::string::npos) << text;
  EXPECT_NE(text.find("#####....."), std::string::npos) << text;
}

TEST_F(Layout, LeavesTheLeastImportantOutWhereItIsNarrow) {
  const Grid grid = draw(model_, view_, {.width = 40, .height = 24});
  EXPECT_EQ(row_of(grid, "PID"), "    PID       HBM      HOST COMMAND");
  EXPECT_EQ(row_of(grid, "4712 "), "   4712  30.0 GiB  25.0 GiB python3 -m v");
  const Grid tiny = draw(model_, view_, {.width = 20, .height = 24});
  EXPECT_NE(row_of(tiny, "4712 "), "no row holds 4712 ") << tiny.to_text();
}

TEST_F(Layout, ShowsTheMapOnlyWhereThereIsRoomForIt) {
  view_.chosen = Target{4712, 0};
  EXPECT_EQ(draw(model_, view_, {.width = 80, .height = 7}).to_text().find("Process"),
            std::string::npos);
  EXPECT_NE(draw(model_, view_, {.width = 80, .height = 16}).to_text().find("Process"),
            std::string::npos);
}

TEST_F(Layout, IsDrawnAtAnySize) {
  for (int width = 0; width < 60; width += 7) {
    for (int height = 0; height < 40; height += 3) {
      const Grid grid = draw(model_, view_, {.width = width, .height = height});
      EXPECT_EQ(grid.width(), width);
      EXPECT_EQ(grid.height(), height);
    }
  }
}

TEST_F(Layout, KeepsTheChosenOneInSightAndMarksIt) {
  Model many = model_;
  many.processes.clear();
  for (pid_t pid = 100; pid < 150; ++pid) {
    many.processes.push_back({stats_of(pid, "server", 0, 0), {}});
  }
  view_.chosen = Target{142, 0};
  const Grid grid = draw(many, view_, {.width = 80, .height = 24});
  int marked = -1;
  for (int row = 0; row < grid.height(); ++row) {
    if (grid.at(row, 0).reversed) marked = row;
  }
  ASSERT_GE(marked, 0) << grid.to_text();
  std::string pid;
  for (int column = 0; column < 7; ++column) {
    append_utf8(pid, grid.at(marked, column).character);
  }
  EXPECT_EQ(pid, "    142");
}

TEST_F(Layout, SaysWhereItLookedWhenNobodyIsThere) {
  Model nobody;
  nobody.directory = "/dev/shm/vhbm-1000";
  const std::string text = draw(nobody, view_, {}).to_text();
  EXPECT_NE(text.find("No process of this user runs under vHBM"), std::string::npos) << text;
  EXPECT_NE(text.find("/dev/shm/vhbm-1000"), std::string::npos) << text;
}

TEST_F(Layout, HelpNamesEveryKey) {
  view_.help = true;
  const std::string text = draw(model_, view_, {.width = 80, .height = 24}).to_text();
#define KEY(name, characters, label, what) \
  EXPECT_NE(text.find(what), std::string::npos) << what << "\n" << text;
#include "top/keys.def"
#undef KEY
}

TEST_F(Layout, PlainTableHasARowForEach) {
  const std::string text = plain_table(model_, view_, 120, true);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_NE(text.find("4711"), std::string::npos);
  EXPECT_NE(text.find("4712"), std::string::npos);
}

}  // namespace
}  // namespace vhbm::cli
