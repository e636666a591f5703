// docs/compat.md promises a test for each of its rows: every row names some, and all of them exist.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <sstream>

#include "symbol_tables.h"

namespace {

// The tests of this source tree, as Suite.Name and gpu/sub_test.
std::set<std::string> tests_in(const std::string& folder) {
  static const std::regex test(R"((?:^|\n)TEST(?:_F|_P)?\((\w+),\s*(\w+)\))");
  static const std::regex sub_test(R"(\nSUB_TEST\((\w+),)");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const bool is_source = entry.path().extension() == ".cpp";
    if (!is_source && entry.path().filename() != "sub_tests.def") continue;
    const std::string text = contents_of(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), is_source ? test : sub_test), end;
         at != end; ++at) {
      names.insert(is_source ? (*at)[1].str() + "." + (*at)[2].str() : "gpu/" + (*at)[1].str());
    }
  }
  return names;
}

struct Row {
  std::string what;
  std::vector<std::string> tests;
};

// The rows of a page's tables, whose last column names tests.
std::vector<Row> rows_of(const std::string& page) {
  static const std::regex name(R"(`([^`]+)`)");
  std::vector<Row> rows;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| ", 0) != 0 || line.rfind("| what ", 0) == 0 || line.rfind("| ---", 0) == 0) {
      continue;
    }
    const std::size_t end = line.rfind(" |");
    const std::size_t begin = line.rfind(" | ", end - 1);
    const std::string cell = line.substr(begin, end - begin);
    Row row{line.substr(2, line.find(" | ") - 2), {}};
    for (std::sregex_iterator at(cell.begin(), cell.end(), name), none; at != none; ++at) {
      row.tests.push_back((*at)[1]);
    }
    rows.push_back(row);
  }
  return rows;
}

std::vector<std::string> problems_of(const std::string& page, const std::set<std::string>& tests) {
  std::vector<std::string> found;
  for (const Row& row : rows_of(page)) {
    if (row.tests.empty()) found.push_back("no test holds: " + row.what);
    for (const std::string& name : row.tests) {
      if (tests.count(name) == 0) {
        found.push_back("there is no test " + name + ", which is to hold: " + row.what);
      }
    }
  }
  return found;
}

TEST(CompatPage, NamesOnlyTestsThatExist) {
  const std::set<std::string> tests = tests_in(TESTS_FOLDER);
  ASSERT_GT(tests.size(), 500u);
  const std::string page = contents_of(COMPAT_PAGE);
  ASSERT_GE(rows_of(page).size(), 43u) << "what was reported stays on the page";
  for (const std::string& problem : problems_of(page, tests)) ADD_FAILURE() << problem;
}

TEST(CompatPage, WouldBeFoundWrong) {
  const std::set<std::string> tests = {"Some.Test", "gpu/probe"};
  const std::string head = "| what broke | held by |\n| --- | --- |\n";
  EXPECT_EQ(problems_of(head + "| this | `Some.Test`, `gpu/probe` |\n", tests).size(), 0u);
  EXPECT_EQ(problems_of(head + "| this | `Some.Test`, `Some.Other` |\n", tests),
            (std::vector<std::string>{"there is no test Some.Other, which is to hold: this"}));
  EXPECT_EQ(problems_of(head + "| that | by hand |\n", tests),
            (std::vector<std::string>{"no test holds: that"}));
}

}  // namespace
