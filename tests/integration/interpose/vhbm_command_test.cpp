// The vhbm command as scripts and people use it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"

namespace {

using Json = nlohmann::json;

const std::string state = "/tmp/vhbm-command-test." + std::to_string(getpid());
// A sanitizer has to be there when a program that knows nothing of it loads the library.
const bool sanitized = *SANITIZER_LIBRARY != '\0';
const std::string sanitizer = sanitized ? "LD_PRELOAD=" SANITIZER_LIBRARY
                                          " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "
                                        : "";
const std::string vhbm =
    "env " + sanitizer +
    "LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB VHBM_STATE_DIR=" + state +
    " " VHBM_COMMAND " ";
const std::string program = CUDA_PROGRAM;

class Command : public ::testing::Test {
 protected:
  ~Command() override { std::filesystem::remove_all(state); }
  const std::string summary_ = testing::TempDir() + "vhbm-summary." + std::to_string(getpid());
  Json summary() const { return Json::parse(std::ifstream(summary_), nullptr, false); }
};

TEST_F(Command, RunsAProgramWithinTheLimit) {
  const std::string device = summary_ + ".device";
  const CommandResult result =
      shell("SIMGPU_SUMMARY=" + device + " " + vhbm +
            "run --hbm-limit 32MiB --host-limit 128MiB -- " + program + " 64 2>&1");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "64 MiB written and read back\n");
  // What the device itself saw.
  const Json seen = Json::parse(std::ifstream(device), nullptr, false);
  ASSERT_TRUE(seen.is_object());
  EXPECT_GT(seen["peak_hbm_bytes"], 16 << 20);
  EXPECT_LE(seen["peak_hbm_bytes"], 32 << 20);
  std::filesystem::remove(device);
}

TEST_F(Command, SumsUpWhatTheRunCameTo) {
  const CommandResult result = shell(vhbm + "run --set hbm_limit=32MiB --summary " + summary_ +
                                     " -- " + program + " 64 2>&1");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("vhbm: 1 process, peak HBM"), std::string::npos) << result.output;
  const Json report = summary();
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["exit_status"], 0);
  EXPECT_EQ(report["processes"].size(), 1u);
  EXPECT_EQ(report["stats"]["hbm_limit"], 32 << 20);
  EXPECT_GT(report["stats"]["peak_hbm_bytes"], 0);
  EXPECT_LE(report["stats"]["peak_hbm_bytes"], 32 << 20);
}

TEST_F(Command, SumsUpTheGrandchildrenToo) {
  const CommandResult result =
      shell(vhbm + "run --hbm-limit 32MiB --summary " + summary_ + " -- bash -c '" + program +
            " 64; sleep 0.3; " + program + " 8' 2>&1");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_GE(summary()["processes"].size(), 1u) << result.output;
}

TEST_F(Command, ReturnsWhatTheProgramReturned) {
  EXPECT_EQ(shell(vhbm + "run -- bash -c 'exit 3'").exit_code, 3);
  const std::string with_summary = vhbm + "run --summary " + summary_ + " -- ";
  EXPECT_EQ(shell(with_summary + "bash -c 'exit 3' 2>&1").exit_code, 3);
  EXPECT_EQ(summary()["exit_status"], 3);
  EXPECT_EQ(shell(with_summary + "bash -c 'kill -TERM $$' 2>&1").exit_code, 128 + 15);
  EXPECT_EQ(summary()["signal"], 15);
  EXPECT_EQ(shell(vhbm + "run -- /no/such/program 2>&1").exit_code, 127);
  EXPECT_EQ(shell(vhbm + "run -- /etc/passwd 2>&1").exit_code, 126);
  EXPECT_EQ(shell(with_summary + "/no/such/program 2>&1").exit_code, 127);
}

TEST_F(Command, HandsSignalsOn) {
  const CommandResult result =
      shell("bash -c '" + vhbm + "run --summary " + summary_ +
            " -- bash -c \"trap \\\"exit 9\\\" TERM; touch " + summary_ +
            ".up; while :; do sleep 0.02; done\" & until test -e " + summary_ +
            ".up; do sleep 0.02; done; kill -TERM $!; wait $!' 2>&1");
  EXPECT_EQ(result.exit_code, 9) << result.output;
  std::filesystem::remove(summary_ + ".up");
}

TEST_F(Command, RefusesWhatTheLibraryWouldRefuse) {
  const CommandResult limit = shell(vhbm + "run --hbm-limit plenty -- true 2>&1");
  EXPECT_EQ(limit.exit_code, 64);
  EXPECT_NE(limit.output.find("plenty"), std::string::npos);
  EXPECT_EQ(shell(vhbm + "run --set no_such_option=1 -- true 2>&1").exit_code, 64);
  EXPECT_EQ(shell(vhbm + "run --set nothing -- true 2>&1").exit_code, 64);
  EXPECT_EQ(shell(vhbm + "run 2>&1").exit_code, 64);
  EXPECT_EQ(shell(vhbm + "2>&1").exit_code, 64);
  EXPECT_EQ(shell(vhbm + "no-such-command 2>&1").exit_code, 64);
}

TEST_F(Command, SaysWhereItLookedForTheLibrary) {
  const CommandResult result = shell("VHBM_LIBRARY=/no/such.so " + vhbm + "run -- true 2>&1");
  EXPECT_EQ(result.exit_code, 70);
  EXPECT_NE(result.output.find("/no/such.so"), std::string::npos);
}

TEST_F(Command, KeepsWhatWasPreloadedBefore) {
  if (sanitized) GTEST_SKIP() << "the sanitizer would have to be first";
  const CommandResult result =
      shell("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " LD_PRELOAD=libm.so.6 " VHBM_COMMAND
            " run -- bash -c 'echo $LD_PRELOAD' 2>&1");
  EXPECT_NE(result.output.find("libvhbm.so:libm.so.6"), std::string::npos) << result.output;
}

// 64 MiB on a GPU of 48: only who is paged has room for them.
std::string plug_in_bound(const std::string& how, const std::string& run_options) {
  return shell("SIMGPU_HBM=48MiB LD_LIBRARY_PATH=" VHBM_LIB_DIR " VHBM_STATE_DIR=" + state + " " +
               (sanitized ? "env " + sanitizer : "") + VHBM_COMMAND " run --hbm-limit 32MiB " +
               run_options + " -- " PLUG_IN_HOST " " PLUG_IN " " + how + " 2>&1")
      .output;
}

TEST_F(Command, ReachesByThePathWhatBindsDeeplyAndAPreloadDoesNot) {
  if (std::string(SANITIZER_LIBRARY).find("tsan") != std::string::npos) {
    GTEST_SKIP() << "the stand-in is there before ThreadSanitizer has started";
  }
  EXPECT_EQ(plug_in_bound("local", ""), "plug-in: 0\n");
  for (const char* how : {"local", "global"}) {
    EXPECT_EQ(plug_in_bound(how, "--via-library-path"), "plug-in: 0\n") << how;
  }
  if (!sanitized) {  // a sanitizer does not bear it
    EXPECT_EQ(plug_in_bound("deepbind", ""), "plug-in: 2\n") << "deep binding is no more: say so";
    EXPECT_EQ(plug_in_bound("deepbind", "--via-library-path"), "plug-in: 0\n");
  }
  // The same links for all of them.
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(state)) {
    if (entry.is_directory()) ++folders;
  }
  EXPECT_EQ(folders, 1);
}

TEST_F(Command, VirtualisesByThePathWhatIsLinkedAndWhatRunsWithinItself) {
  const std::string by_path = "run --via-library-path --hbm-limit 32MiB --host-limit 128MiB -- ";
  const std::string small = "SIMGPU_HBM=48MiB " VHBM_COMMAND " ";
  EXPECT_EQ(shell(vhbm + by_path + "env SIMGPU_HBM=48MiB " + program + " 64 fork 2>&1").output,
            "64 MiB written and read back\nand again, after a fork\n");
  const CommandResult nested =
      shell(vhbm + by_path + "env " + small + by_path + program + " 64 2>&1");
  EXPECT_EQ(nested.output, "64 MiB written and read back\n");
  const CommandResult both =
      shell(vhbm + by_path + "env " + small + "run -- " + program + " 64 2>&1");
  EXPECT_EQ(both.output, "64 MiB written and read back\n");
}

TEST_F(Command, OffersNothingInThePathWhereThereIsNoDriver) {
  const CommandResult result = shell(vhbm + "run -- env LD_LIBRARY_PATH=/no/such " VHBM_COMMAND
                                            " run --via-library-path -- true 2>&1");
  if (result.exit_code == 0) GTEST_SKIP() << "there is a driver";
  EXPECT_EQ(result.exit_code, 70) << result.output;
  EXPECT_NE(result.output.find("no GPU driver to stand in for"), std::string::npos)
      << result.output;
}

TEST_F(Command, ShowsTheLivingAndSaysWhenThereAreNone) {
  const CommandResult none = shell(vhbm + "stat 2>&1");
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.output.find("no process"), std::string::npos);
  EXPECT_EQ(shell(vhbm + "stat --json 2>/dev/null").output, "[]\n");
  EXPECT_EQ(shell(vhbm + "stat 1 2>&1").exit_code, 1);
  // The program waits until it is told that it was looked at.
  const std::string go = summary_ + ".go";
  std::filesystem::remove(go);
  const CommandResult looked =
      shell("bash -c '" + vhbm + "run --hbm-limit 32MiB -- " + program + " 8 wait:" + go +
            " >/dev/null & for i in $(seq 200); do " + vhbm +
            "stat --json 2>/dev/null | grep -q regions.:2 && break; sleep 0.05; done; " + vhbm +
            "stat --json; " + vhbm + "stat; touch " + go + "; wait' 2>&1");
  std::filesystem::remove(go);
  const Json all = Json::parse(looked.output.substr(0, looked.output.find('\n')), nullptr, false);
  ASSERT_TRUE(all.is_array()) << looked.output;
  ASSERT_EQ(all.size(), 1u) << looked.output;
  EXPECT_EQ(all[0]["regions"], 2);
  EXPECT_EQ(all[0]["region_bytes"], 8 << 20);
  EXPECT_NE(looked.output.find("HBM that this process may hold"), std::string::npos);
}

TEST_F(Command, SaysWhatHoldsToWhoAsks) {
  const CommandResult told =
      shell(vhbm + "run --verbose --hbm-limit 32MiB -- " + program + " 8 2>&1");
  EXPECT_EQ(told.exit_code, 0);
  EXPECT_NE(told.output.find("vhbm:   hbm_limit  32.0 MiB (VHBM_HBM_LIMIT)\n"), std::string::npos)
      << told.output;
  EXPECT_NE(told.output.find("\n8 MiB written and read back\n"), std::string::npos) << told.output;
  // Once, also when one runs within another.
  const CommandResult nested =
      shell(vhbm + "run --verbose -- " VHBM_COMMAND " run --verbose -- true 2>&1");
  EXPECT_EQ(nested.output.find("hbm_limit"), nested.output.rfind("hbm_limit")) << nested.output;
  EXPECT_NE(nested.output.find("hbm_limit"), std::string::npos) << nested.output;
  EXPECT_EQ(shell(vhbm + "run --quiet -- true 2>&1").output, "");
  EXPECT_EQ(shell(vhbm + "run --quiet --verbose -- true 2>&1").exit_code, 64);
}

TEST_F(Command, ExplainsItself) {
  const CommandResult help = shell(vhbm + "run --help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* word :
       {"Examples", "--hbm-limit", "Exit code", "stall_limit", "--via-library-path"}) {
    EXPECT_NE(help.output.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(shell(vhbm + "--version").output.substr(0, 5), "vhbm ");
}

}  // namespace
