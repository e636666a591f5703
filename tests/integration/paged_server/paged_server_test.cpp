// The main job, pressed hard: the sample server in a quarter of the memory it allocates, with moves
// at every chance and random delays everywhere, puts out what it puts out natively, bit by bit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using Json = nlohmann::json;

const std::string kFolder = testing::TempDir() + "paged-server." + std::to_string(getpid());
// 24 requests through tensors of several MiB each: about 50 MiB in all.
const std::string kServer = SAMPLE_SERVER " --requests 24 --experts 64 --kv-tokens 8192 --json ";
const std::string kQuarter = "12MiB";
// A sanitizer must come first in the process, and finds its own program's leaks itself.
const std::string kSanitizer = *SANITIZER_LIBRARY == 0
                                   ? ""
                                   : "LD_PRELOAD=" SANITIZER_LIBRARY
                                     " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 ";

class PagedServer : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { std::filesystem::create_directories(kFolder); }
  void TearDown() override { std::filesystem::remove_all(kFolder); }

  static Json read(const std::string& file) {
    return Json::parse(std::ifstream(kFolder + "/" + file), nullptr, false);
  }
  static int shell(const std::string& environment, const std::string& command) {
    return std::system(("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " " + environment + " " + command +
                        " >>" + kFolder + "/output 2>&1")
                           .c_str());
  }
  static std::string output() {
    std::ifstream file(kFolder + "/output");
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_P(PagedServer, PutsOutTheSameInAQuarterOfItsMemory) {
  const std::string arguments = std::string(" ") + GetParam();
  if (arguments.find("--api runtime") != std::string::npos &&
      !std::filesystem::exists(SIMULATED_CUDART)) {
    GTEST_SKIP() << "no simulated libcudart at " << SIMULATED_CUDART;
  }
  ASSERT_EQ(shell("", kServer + kFolder + "/native.json" + arguments), 0) << output();
  const std::string expected = read("native.json").value("digest", "");
  ASSERT_FALSE(expected.empty());

  std::uint64_t flips = 0;
  for (const char* seed : {"1", "2", "3"}) {
    const std::string environment =
        std::string("SIMGPU_FUZZ=") + seed + ":20 SIMGPU_SUMMARY=" + kFolder +
        "/device.json VHBM_STATE_DIR=" + kFolder + "/state " + kSanitizer;
    // This server changes no weights in place, so it may be promised.
    const std::string promise = *seed == '1' ? "0" : "1";
    const std::string vhbm = VHBM_COMMAND " run --hbm-limit " + kQuarter +
                             " --set pager_interval=1ms --set stall_limit=90% --set thrash_guard=0"
                             " --set quiesce_deadline=50ms --set weights_are_readonly=" +
                             promise + " --summary " + kFolder + "/summary.json -- ";
    ASSERT_EQ(shell(environment, vhbm + kServer + kFolder + "/paged.json" + arguments), 0)
        << output();
    EXPECT_EQ(read("paged.json").value("digest", ""), expected) << "seed " << seed;
    EXPECT_LE(read("device.json").value("peak_hbm_bytes", std::uint64_t{0}), 12u << 20);
    const Json counted = read("summary.json")["stats"];
    EXPECT_EQ(counted.value("frozen", 1), 0);
    EXPECT_EQ(counted.value("promises_broken", 1), 0);
    flips += counted.value("flips", std::uint64_t{0});
  }
  EXPECT_GT(flips, 0u) << "nothing moved, so nothing was tried";
}

INSTANTIATE_TEST_SUITE_P(Modes, PagedServer,
                         testing::Values("--graphs none --kv-layout per-layer",
                                         "--graphs layer --kv-layout cross-layer",
                                         "--graphs step --kv-layout per-layer",
                                         "--graphs none --contiguous --max-running 4",
                                         "--api runtime --graphs step --kv-layout cross-layer"));

}  // namespace
