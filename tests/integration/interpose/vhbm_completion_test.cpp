// `vhbm completion`, as a shell uses it: bash is asked what it would offer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "command.h"

namespace {

const std::string vhbm = *SANITIZER_LIBRARY == '\0'
                             ? std::string(VHBM_COMMAND " ")
                             : "LD_PRELOAD=" SANITIZER_LIBRARY
                               " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 " VHBM_COMMAND
                               " ";

class Completion : public ::testing::Test {
 protected:
  Completion() { script_ << shell(vhbm + "completion bash").output << std::flush; }
  ~Completion() override { std::filesystem::remove(name_); }

  // What bash offers when the last of these words is completed, as its own variables hold it.
  [[nodiscard]] std::set<std::string> offered(const std::vector<std::string>& words) const {
    std::string line =
        "bash --norc --noprofile -c 'source \"$0\"; COMP_WORDS=(vhbm \"$@\"); "
        "COMP_CWORD=$#; _vhbm; printf \"%s\\n\" \"${COMPREPLY[@]}\"' " +
        name_;
    for (const std::string& word : words) line += " '" + word + "'";
    std::istringstream output(shell(line + " 2>&1").output);
    std::set<std::string> found;
    for (std::string one; std::getline(output, one);) {
      if (!one.empty()) found.insert(one);
    }
    return found;
  }

  const std::string name_ = testing::TempDir() + "vhbm-completion." + std::to_string(getpid());
  std::ofstream script_{name_};
};

using Words = std::set<std::string>;

TEST_F(Completion, EveryCommandOfTheHelpIsOffered) {
  // The names below "Subcommands:", one at the beginning of each line.
  std::istringstream help(shell(vhbm + "--help").output);
  Words commands;
  bool inside = false;
  for (std::string line; std::getline(help, line); inside = inside && !line.empty()) {
    std::string first;
    std::istringstream(line) >> first;
    if (inside && line.starts_with("  ") && line[2] != ' ') commands.insert(first);
    inside = inside || line == "Subcommands:";
  }
  EXPECT_GE(commands.size(), 8u);
  Words all = offered({""});
  for (const char* option : {"--help", "-h", "--version"}) {
    EXPECT_EQ(all.erase(option), 1u) << option;
  }
  EXPECT_EQ(all, commands);
}

TEST_F(Completion, OptionsAndTheirValuesBelongToTheirCommand) {
  EXPECT_EQ(offered({"do"}), Words{"doctor"});
  EXPECT_EQ(offered({"regions", "--so"}), Words{"--sort"});
  EXPECT_EQ(offered({"regions", "--sort", ""}), (Words{"resident", "size", "tag"}));
  EXPECT_EQ(offered({"regions", "--sort", "=", "r"}), Words{"resident"});
  EXPECT_EQ(offered({"stat", "--sort", "res"}), Words{});
  EXPECT_EQ(offered({"config", ""}), (Words{"--help", "-h", "check", "options", "show"}));
  EXPECT_EQ(offered({"config", "options", "--t"}), Words{"--toml"});
  EXPECT_EQ(offered({"plan", "--gpu", "h2"}), Words{"h200"});
  EXPECT_EQ(offered({"completion", "z"}), Words{"zsh"});
  EXPECT_EQ(offered({"replay", "trace", "--policy", "n"}), Words{"next_use"});
  EXPECT_EQ(offered({"run", "--hbm-limit", ""}), Words{});
}

TEST_F(Completion, FilesAndCommandsAreOfferedWhereTheyBelong) {
  const std::string part = name_.substr(0, name_.size() - 1);
  EXPECT_EQ(offered({"config", "check", part}).count(name_), 1u);
  EXPECT_EQ(offered({"run", "--config", part}).count(name_), 1u);
  EXPECT_EQ(offered({"plan", "--model", part}).count(name_), 1u);
  EXPECT_EQ(offered({"replay", part}).count(name_), 1u);
  EXPECT_EQ(offered({"record", "-o", part}).count(name_), 1u);
  EXPECT_EQ(offered({"record", "-o", "x", "--", "bas"}).count("bash"), 1u);
  EXPECT_EQ(offered({"run", "--", "bas"}).count("bash"), 1u);
  EXPECT_EQ(offered({"run", "--", "bash", part}).count(name_), 1u);
  EXPECT_EQ(offered({"run", "--", "bash", "--con"}), Words{});  // another program's
}

TEST_F(Completion, TheOtherShellsTakeTheirScripts) {
  for (const std::string other : {"zsh", "fish"}) {
    const std::string text = shell(vhbm + "completion " + other).output;
    EXPECT_NE(text.find("sort"), std::string::npos) << other;
    if (shell("command -v " + other + " >/dev/null").exit_code != 0) continue;
    EXPECT_EQ(shell(vhbm + "completion " + other + " | " + other + " -n /dev/stdin 2>&1").output,
              "");
  }
  EXPECT_EQ(shell(vhbm + "completion tcsh 2>&1").exit_code, 64);
}

}  // namespace
