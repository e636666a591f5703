// `vhbm plan` as scripts and people use it; what it computes is tests/unit/plan's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"

namespace {

using Json = nlohmann::json;

const std::string vhbm_plan =
    *SANITIZER_LIBRARY == '\0'
        ? std::string(VHBM_COMMAND " plan ")
        : "LD_PRELOAD=" SANITIZER_LIBRARY
          " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 " VHBM_COMMAND " plan ";
const std::string llama =
    "--gpu h100 --layers 32 --kv-heads 8 --head-size 128 --query-heads 32 "
    "--parameters 8.03B --host 400GiB --context 32768 ";

TEST(PlanCommand, ExitCodesTellTheVerdict) {
  EXPECT_EQ(shell(vhbm_plan + llama).exit_code, 0);
  const CommandResult worth =
      shell(vhbm_plan + llama + "--sessions 64 --active 8 --block-tokens 0");
  EXPECT_EQ(worth.exit_code, 0);
  EXPECT_NE(worth.output.find("vHBM: worth it\n"), std::string::npos) << worth.output;
  const CommandResult dont = shell(vhbm_plan + llama + "--sessions 64 --active 8");
  EXPECT_EQ(dont.exit_code, 1);
  EXPECT_NE(dont.output.find("vHBM: don't\n"), std::string::npos) << dont.output;
  EXPECT_NE(dont.output.find("First, any one of:\n  - blocks of "), std::string::npos);
  EXPECT_EQ(shell(vhbm_plan + "--gpu h100 2>&1").exit_code, 64);
  EXPECT_EQ(shell(vhbm_plan + llama + "--kv-bits 7 2>&1").exit_code, 64);
}

TEST(PlanCommand, JsonTellsWhatTheTextDoes) {
  const CommandResult result = shell(vhbm_plan + llama + "--sessions 64 --active 8 --json");
  const Json plan = Json::parse(result.output, nullptr, false);
  ASSERT_TRUE(plan.is_object()) << result.output;
  EXPECT_EQ(plan["verdict"], "dont");
  EXPECT_EQ(plan["models"][0]["kv_bytes_a_session"], std::uint64_t{4} << 30);
  EXPECT_EQ(plan["machine"]["host_bytes"], std::uint64_t{400} << 30);
  EXPECT_FALSE(plan["instead"].empty());
  const Json known = Json::parse(shell(vhbm_plan + "--list --json").output, nullptr, false);
  ASSERT_TRUE(known.is_object());
  for (const Json& gpu : known["gpus"]) EXPECT_NE(gpu["source"], "") << gpu["name"];
}

TEST(PlanCommand, ABadFileIsNamedOnStandardError) {
  const std::string file = testing::TempDir() + "vhbm-plan-test." + std::to_string(getpid());
  std::ofstream(file) << R"({"model_type": "llama", "hidden_size": "wide"})";
  const CommandResult bad = shell(vhbm_plan + "--gpu h100 --model " + file + " 2>&1 >/dev/null");
  EXPECT_EQ(bad.exit_code, 64);
  EXPECT_NE(bad.output.find("vhbm: " + file + ": hidden_size = \"wide\"; accepted: "),
            std::string::npos)
      << bad.output;
  std::filesystem::remove(file);
}

// The simulated GPU is in no table, so its rates have to be given; its memory is the driver's word.
TEST(PlanCommand, TheGpuThatIsHereIsAsked) {
  const std::string here = "env LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=1GiB ";
  const std::string figures = "--layers 2 --kv-heads 1 --head-size 64 --parameters 100M ";
  const CommandResult unknown = shell(here + vhbm_plan + figures + "2>&1");
  EXPECT_EQ(unknown.exit_code, 64);
  EXPECT_NE(unknown.output.find("is not in the table"), std::string::npos) << unknown.output;
  const CommandResult known =
      shell(here + vhbm_plan + figures + "--hbm-rate 1000 --link 50 --tflops 100 --json");
  EXPECT_EQ(known.exit_code, 0);
  const Json plan = Json::parse(known.output, nullptr, false);
  ASSERT_TRUE(plan.is_object()) << known.output;
  EXPECT_EQ(plan["machine"]["hbm_bytes_each"], 1 << 30);
}

}  // namespace
