// `vhbm config`, and `vhbm run` with a configuration, as scripts and people use them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"

namespace {

using Json = nlohmann::json;

// A sanitizer has to be there when a program that knows nothing of it loads the library.
const std::string sanitizer = *SANITIZER_LIBRARY == '\0'
                                  ? ""
                                  : "LD_PRELOAD=" SANITIZER_LIBRARY
                                    " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 ";
// Nothing of the environment of whoever runs the tests but what a test adds.
std::string vhbm_with(const std::string& variables) {
  return "env -u VHBM_CONFIG -u VHBM_DISABLE " + sanitizer + variables + " " VHBM_COMMAND " ";
}
const std::string vhbm = vhbm_with("");

class Config : public ::testing::Test {
 protected:
  ~Config() override { std::filesystem::remove(file_); }
  const std::string& write(const std::string& text) const {
    std::ofstream(file_) << text;
    return file_;
  }
  const std::string file_ = testing::TempDir() + "vhbm-config-test." + std::to_string(getpid());
  const std::string broken_ = "log = \"info\"\nhbm_limt = 1\nhbm_limit = \"8 gigs\"\n";
};

TEST_F(Config, CheckAcceptsAGoodFile) {
  const CommandResult good =
      shell(vhbm + "config check " + write("hbm_limit = \"8GiB\"\n") + " 2>&1");
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_EQ(good.output, file_ + ": ok\n");
  EXPECT_EQ(shell(vhbm_with("VHBM_CONFIG=" + file_) + "config check 2>&1").output,
            file_ + ": ok\n");
}

TEST_F(Config, CheckTellsEveryRefusalOnALineOfItsOwn) {
  const CommandResult bad = shell(vhbm + "config check " + write(broken_) + " 2>&1");
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(
      bad.output,
      file_ + ":2: option \"hbm_limt\" is not known: did you mean hbm_limit?\n" + file_ +
          ":3: hbm_limit = \"8 gigs\" is not accepted: expected a size such as 8GiB, 512MiB or "
          "4096 (bytes), a share such as 75%, or auto\n");
  EXPECT_EQ(shell(vhbm + "config check " + write("policy = \"guess\"") + " 2>&1").exit_code, 1);
  EXPECT_EQ(shell(vhbm + "config check /no/such/file 2>&1").exit_code, 1);
  EXPECT_EQ(shell(vhbm + "config check 2>&1").exit_code, 64);
}

TEST_F(Config, ShowTellsEachValueAndItsOrigin) {
  write("hbm_limit = \"8GiB\"\nhost_limit = 4096\n[[tag]]\nis = \"kv\"\nmin_size = \"1GiB\"\n");
  const std::string show = vhbm_with("VHBM_HOST_LIMIT=75%") + "config show --config " + file_ + " ";
  const Json shown = Json::parse(shell(show + "--json").output, nullptr, false);
  ASSERT_TRUE(shown.is_object());
  const Json expected_limit = {{"value", "8GiB"}, {"origin", "file"}, {"place", file_ + ":1"}};
  EXPECT_EQ(shown["options"]["hbm_limit"], expected_limit);
  const Json expected_host = {
      {"value", "75%"}, {"origin", "environment"}, {"place", "VHBM_HOST_LIMIT"}};
  EXPECT_EQ(shown["options"]["host_limit"], expected_host);
  EXPECT_EQ(shown["options"]["policy"]["origin"], "default");
  EXPECT_EQ(shown["config"], file_);
  ASSERT_EQ(shown["tag_rules"].size(), 1u);
  EXPECT_EQ(shown["tag_rules"][0]["is"], "kv");
  EXPECT_EQ(shown["tag_rules"][0]["min_size"], 1 << 30);

  const std::string text = shell(show).output;
  for (const std::string& part :
       {std::string("8GiB"), file_ + ":1\n", std::string("VHBM_HOST_LIMIT\n"),
        std::string("1GiB and above: kv")}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
  EXPECT_EQ(text.find('\033'), std::string::npos) << "colour, though this is no terminal";
  EXPECT_EQ(shell(vhbm + "config show --config " + write(broken_) + " 2>&1").exit_code, 1);
  EXPECT_EQ(shell(vhbm_with("VHBM_HBM_LIMIT=plenty") + "config show 2>&1").exit_code, 1);
}

TEST_F(Config, OptionsAreListedInFull) {
  const Json options = Json::parse(shell(vhbm + "config options --json").output, nullptr, false);
  ASSERT_TRUE(options.is_array());
  const std::string text = shell(vhbm + "config options").output;
  for (const Json& option : options) {
    for (const char* key : {"name", "variable", "type", "default", "accepted", "text"}) {
      EXPECT_TRUE(option.contains(key)) << option << " lacks " << key;
    }
    EXPECT_NE(text.find(option["name"].get<std::string>() + " = "), std::string::npos);
  }
  EXPECT_GE(options.size(), 14u);
}

TEST_F(Config, TheFileOfDefaultsIsWhatTheTableSays) {
  std::ifstream in(SOURCE_DIR "/config/default.toml");
  const std::string kept{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(shell(vhbm + "config options --toml").output, kept)
      << "after a change of options.def: vhbm config options --toml >config/default.toml";
}

// What a profile offers behind a # has to be accepted as well.
TEST_F(Config, EveryProfileIsAcceptedAndSoIsWhatItOffers) {
  int profiles = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SOURCE_DIR "/config")) {
    if (entry.path().extension() != ".toml") continue;
    const std::string profile = entry.path().string();
    EXPECT_EQ(shell(vhbm + "config check " + profile + " 2>&1").output, profile + ": ok\n");
    if (entry.path().filename() == "default.toml") continue;
    ++profiles;
    const Json shown =
        Json::parse(shell(vhbm + "config show --json --config " + profile).output, nullptr, false);
    ASSERT_TRUE(shown.is_object()) << profile;
    std::ifstream in(profile);
    for (std::string line; std::getline(in, line);) {
      const std::string offered = line.substr(0, 2) == "# " ? line.substr(2) : "";
      const std::string name = offered.substr(0, offered.find(" = "));
      if (name.size() == offered.size() || !shown["options"].contains(name)) continue;
      const CommandResult check = shell(vhbm + "config check " + write(offered + "\n") + " 2>&1");
      EXPECT_EQ(check.exit_code, 0) << profile << ": " << check.output;
    }
    int set = 0;
    for (const Json& option : shown["options"]) set += option["origin"] == "file" ? 1 : 0;
    EXPECT_GE(set, 3) << profile;
  }
  EXPECT_GE(profiles, 7);
}

TEST_F(Config, RunGivesTheProgramTheFile) {
  const CommandResult run =
      shell("cd " + testing::TempDir() + " && " + vhbm + "run --config " +
            std::filesystem::path(write("log = \"info\"\n")).filename().string() +
            " -- bash -c 'cd /; echo $VHBM_CONFIG' 2>&1");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.output, file_ + "\n") << "a name that the program finds from any folder";
}

TEST_F(Config, RunStartsNothingWithABrokenFile) {
  const CommandResult given = shell(vhbm + "run --config " + write(broken_) + " -- echo ran 2>&1");
  EXPECT_EQ(given.exit_code, 64);
  EXPECT_EQ(given.output.find("ran\n"), std::string::npos);
  EXPECT_NE(given.output.find(file_ + ":3: hbm_limit"), std::string::npos) << given.output;
  const CommandResult inherited = shell(vhbm_with("VHBM_CONFIG=" + file_) + "run -- echo ran 2>&1");
  EXPECT_EQ(inherited.exit_code, 64);
  const CommandResult disabled =
      shell(vhbm_with("VHBM_DISABLE=1 VHBM_CONFIG=" + file_) + "run -- echo ran 2>&1");
  EXPECT_EQ(disabled.output, "ran\n");
}

TEST_F(Config, RunChecksWhatIsSetOnTheCommandLine) {
  const CommandResult unknown = shell(vhbm + "run --set hbm_limt=1 -- echo ran 2>&1");
  EXPECT_EQ(unknown.exit_code, 64);
  EXPECT_EQ(unknown.output, "vhbm: there is no option 'hbm_limt': did you mean hbm_limit?\n");
  const CommandResult value = shell(vhbm + "run --set stall_limit=0 -- echo ran 2>&1");
  EXPECT_EQ(value.exit_code, 64);
  EXPECT_EQ(value.output, "vhbm: stall_limit=0 is not accepted: expected 1% to 100%\n");
  const CommandResult word = shell(vhbm + "run --set policy=guess -- echo ran 2>&1");
  EXPECT_EQ(word.exit_code, 64);
}

}  // namespace
