// What servers do with their processes (process_program.cpp): the same answers as natively, an end
// without waiting or crashing whatever is in flight, and nothing left behind that hinders.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"

namespace {

const std::string state = "/tmp/vhbm-process-test." + std::to_string(getpid());
// A sanitizer has no part in how a program ends: it would look for leaks, and for races with
// threads that are still at work.
const std::string calm =
    "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "
    "TSAN_OPTIONS=exitcode=0:report_bugs=0:atexit_sleep_ms=0 ";
const std::string on_gpu = "LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB " + calm;
// Paging all the time: 64 MiB of memory, 32 MiB of HBM.
const std::string paged = "env LD_PRELOAD=" PRELOAD " VHBM_STATE_DIR=" + state +
                          " VHBM_HBM_LIMIT=32MiB VHBM_HOST_LIMIT=128MiB VHBM_PAGER_INTERVAL=1ms "
                          "VHBM_STALL_LIMIT=100% VHBM_THRASH_GUARD=false ";
const std::string program = PROCESS_PROGRAM " ";

class Process : public ::testing::Test {
 protected:
  ~Process() override { std::filesystem::remove_all(state); }
};

std::string native_answers(const std::string& way) {
  return shell(on_gpu + program + way + " 2>&1").output;
}
std::string answers_under_vhbm(const std::string& way) {
  return shell(on_gpu + paged + program + way + " 2>&1").output;
}

int files_that_end_with(const std::string& suffix) {
  int count = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(state, error)) {
    if (entry.path().extension() == suffix) ++count;
  }
  return count;
}

TEST_F(Process, AThreadWithoutAContextGetsTheDriversAnswers) {
  const std::string native = native_answers("without_context");
  EXPECT_NE(native.find("201  cuMemAlloc"), std::string::npos) << native;
  EXPECT_EQ(answers_under_vhbm("without_context"), native);
}

TEST_F(Process, WhoAsksForNothingGetsTheDriversAnswers) {
  const std::string native = native_answers("asks_for_nothing");
  EXPECT_NE(native.find("cuMemFree(0)"), std::string::npos) << native;
  EXPECT_EQ(answers_under_vhbm("asks_for_nothing"), native);
}

TEST_F(Process, AHostFunctionGetsTheDriversAnswersWhilePagesMove) {
  const std::string native = native_answers("in_callbacks");
  EXPECT_NE(native.find("800  cuMemAlloc"), std::string::npos) << native;
  EXPECT_EQ(answers_under_vhbm("in_callbacks"), native);
}

class ProcessEnd : public Process, public ::testing::WithParamInterface<const char*> {};

TEST_P(ProcessEnd, WithWorkInFlightIsOrderlyAndLeavesNothingThatHinders) {
  const std::string way = GetParam();
  for (int round = 0; round < 3; ++round) {
    const CommandResult guest =
        shell("timeout -s KILL 30 env " + on_gpu + paged + program + way + " 2>&1; echo end $?");
    EXPECT_EQ(guest.output, "end 7\n");
  }
  // Who is killed cleans nothing up; the next one does.
  const CommandResult next = shell(on_gpu + paged + program + "waits </dev/null 2>&1");
  EXPECT_EQ(next.exit_code, 0) << next.output;
  EXPECT_EQ(files_that_end_with(".regions"), 0);
  EXPECT_LE(files_that_end_with(".stats"), 1);
}

INSTANTIATE_TEST_SUITE_P(Each, ProcessEnd,
                         ::testing::Values("ends_by_return", "ends_by_exit_elsewhere",
                                           "ends_by_signal", "ends_at_once", "ends_quickly"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(Process, AProgramThatBecomesAnotherTakesItsPlaceInTheStateDirectory) {
  const CommandResult seen =
      shell("sh -c '(until ls " + state + "/*.stats >/dev/null 2>&1; do sleep 0.02; done; " +
            "for i in $(seq 250); do " + on_gpu + "VHBM_STATE_DIR=" + state +
            " " VHBM_COMMAND " stat --json >" + state + "/seen 2>/dev/null; " +
            "grep -q process_program.waits.*regions.:8, " + state +
            "/seen && break; sleep 0.02; done) | " + on_gpu + paged + program +
            "becomes_another' 2>&1; cat " + state + "/seen");
  std::size_t line = seen.output.find('\n');
  ASSERT_NE(line, std::string::npos) << seen.output;
  ASSERT_EQ(seen.output.rfind("pid ", 0), 0u) << seen.output;
  const int pid = std::stoi(seen.output.substr(4));
  const auto all = nlohmann::json::parse(seen.output.substr(line + 1), nullptr, false);
  ASSERT_TRUE(all.is_array()) << seen.output;
  // One process, and the old program's files are gone.
  ASSERT_EQ(all.size(), 1u) << seen.output;
  EXPECT_EQ(all[0]["pid"], pid);
  EXPECT_EQ(all[0]["regions"], 8);
  EXPECT_EQ(files_that_end_with(".regions"), 0);
  EXPECT_EQ(files_that_end_with(".stats"), 1);
}

TEST_F(Process, TheDeviceThatIsUsedIsPagedHoweverTheyAreNumbered) {
  // Of three devices two, in another order: the second is the machine's first.
  const std::string devices = "SIMGPU_DEVICES=3 SIMGPU_HBM=48MiB CUDA_VISIBLE_DEVICES=2,0 ";
  EXPECT_EQ(shell(on_gpu + devices + program + "uses_device_one 2>&1").output,
            "cuMemAlloc gives 2\n");
  const CommandResult guest = shell(on_gpu + devices + paged + program + "uses_device_one 2>&1");
  EXPECT_EQ(guest.output, "device ...0, 32 MiB in all\n");
  EXPECT_EQ(guest.exit_code, 0);
}

TEST_F(Process, ADriverThatIsLoadedAndUnloadedAgainAndAgainStaysUsable) {
  const CommandResult guest =
      shell("env " + on_gpu + paged + PLUG_IN_HOST " " PLUG_IN " again 2>&1");
  EXPECT_EQ(guest.output, "plug-in: 0\n");
  EXPECT_EQ(guest.exit_code, 0);
}

}  // namespace
