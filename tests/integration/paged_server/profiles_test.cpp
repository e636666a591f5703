// Each profile of config/ on the sample server, in the mode that is most like the profile's server:
// the output stays what it is natively, in a quarter of the memory.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace {

using Json = nlohmann::json;

const std::string folder = testing::TempDir() + "profiles." + std::to_string(getpid());
// A sanitizer must come first in the process, and finds its own program's leaks itself.
const std::string sanitizer = *SANITIZER_LIBRARY == 0
                                  ? ""
                                  : "LD_PRELOAD=" SANITIZER_LIBRARY
                                    " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 ";
const std::string server = " " SAMPLE_SERVER " --requests 4 --experts 64 --kv-tokens 8192 ";

// Blocks scattered over layers, blocks with all layers together, or each session in one piece.
const std::map<std::string, std::string> modes = {
    {"vllm", "--graphs step --kv-layout per-layer"},
    {"two-models-one-gpu", "--graphs step --kv-layout per-layer"},
    {"sglang", "--graphs layer --kv-layout per-layer"},
    {"tensorrt-llm", "--graphs layer --kv-layout cross-layer"},
    {"llama.cpp", "--graphs none --contiguous --max-running 4"},
    {"transformers", "--graphs none --contiguous --max-running 4"},
    {"jax", "--graphs none --contiguous --max-running 4"},
};

class Profiles : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  static int shell(const std::string& command) {
    return std::system(("exec >>" + folder +
                        "/output 2>&1; export LD_LIBRARY_PATH=" VHBM_LIB_DIR " VHBM_STATE_DIR=" +
                        folder + "/state; " + command)
                           .c_str());
  }
  static Json read(const std::string& file) {
    return Json::parse(std::ifstream(folder + "/" + file), nullptr, false);
  }
  static std::string output() {
    std::ifstream file(folder + "/output");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // The server under that profile, with limits that fit a test.
  static std::string under(const std::string& profile, const std::string& name) {
    return "env " + sanitizer + VHBM_COMMAND " run --config " SOURCE_DIR "/config/" + profile +
           ".toml --hbm-limit 12MiB --host-limit 256MiB --set log=warn --summary " + folder + "/" +
           name + ".summary -- " + server + modes.at(profile) + " --json " + folder + "/" + name;
  }
};

TEST_F(Profiles, EachLeavesTheOutputAsItIs) {
  std::set<std::string> seen;
  std::map<std::string, std::string> native;  // digest by mode
  for (const auto& entry : std::filesystem::directory_iterator(SOURCE_DIR "/config")) {
    const std::string profile = entry.path().stem().string();
    if (entry.path().extension() != ".toml" || profile == "default") continue;
    ASSERT_EQ(modes.count(profile), 1u) << profile << " has no mode here";
    seen.insert(profile);
    std::string& expected = native[modes.at(profile)];
    if (expected.empty()) {
      ASSERT_EQ(shell(server + modes.at(profile) + " --json " + folder + "/native"), 0) << output();
      expected = read("native").value("digest", "");
      ASSERT_FALSE(expected.empty());
    }
    ASSERT_EQ(shell(under(profile, "paged")), 0) << profile << output();
    EXPECT_EQ(read("paged").value("digest", ""), expected) << profile;
    const Json counted = read("paged.summary")["stats"];
    EXPECT_EQ(counted.value("frozen", 1), 0) << profile;
    EXPECT_EQ(counted.value("promises_broken", 1), 0) << profile;
    const std::uint64_t peak = counted.value("peak_hbm_bytes", std::uint64_t{0});
    EXPECT_GT(peak, 0u) << profile << ": vHBM was not there";
    EXPECT_LE(peak, 12u << 20) << profile;
  }
  EXPECT_EQ(seen.size(), modes.size());
}

TEST_F(Profiles, TwoServersRunSideBySide) {
  const std::string profile = "two-models-one-gpu";
  ASSERT_EQ(shell(server + modes.at(profile) + " --json " + folder + "/native"), 0) << output();
  ASSERT_EQ(shell(under(profile, "first") + " & " + under(profile, "second") + " && wait $!"), 0)
      << output();
  const std::string expected = read("native").value("digest", "");
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(read("first").value("digest", ""), expected);
  EXPECT_EQ(read("second").value("digest", ""), expected);
}

}  // namespace
