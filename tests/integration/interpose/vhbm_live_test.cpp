// The commands that watch and steer a process, on one that runs under the real library.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "runtime/stats.h"
#include "watched_program.h"

namespace {

using namespace std::chrono_literals;

TEST_F(Watched, StatShowsWhatMattersInWords) {
  const CommandResult shown = shell(tool + "stat " + pid());
  EXPECT_EQ(shown.exit_code, 0);
  for (const char* word : {"paging    on", "of 32.0 MiB", "in HBM, 16 regions", "64.0 MiB",
                           "HBM that this process may hold", "more are 0; --all shows them",
                           "in use    [", "more could be page-locked here"}) {
    EXPECT_NE(shown.output.find(word), std::string::npos) << word << "\n" << shown.output;
  }
  EXPECT_EQ(shown.output.find('\033'), std::string::npos);
  EXPECT_EQ(shown.output.find("  out_of_memory"), std::string::npos) << shown.output;
  EXPECT_NE(shell(tool + "stat --all").output.find("  out_of_memory"), std::string::npos);
}

TEST_F(Watched, SleepsAndWakesAsItIsTold) {
  const std::string name = std::filesystem::path(CUDA_PROGRAM).filename();
  const CommandResult slept = shell(tool + "sleep " + pid());
  EXPECT_EQ(slept.exit_code, 0);
  EXPECT_NE(slept.output.find("is asleep: 30.0 MiB left HBM"), std::string::npos) << slept.output;
  EXPECT_EQ(stat().value("asleep", 0), 1);
  EXPECT_EQ(stat().value("resident_bytes", 1), 0);
  const CommandResult shown = shell(tool + "stat " + pid());
  EXPECT_NE(shown.output.find("  asleep    for "), std::string::npos) << shown.output;
  const CommandResult woken = shell(tool + "wake --json " + name);
  EXPECT_EQ(woken.exit_code, 0);
  EXPECT_EQ(parsed(woken.output).value("state", ""), "awake") << woken.output;
  EXPECT_NE(shell(tool + "stat " + pid()).output.find("  awake     slept 1 times"),
            std::string::npos);
  EXPECT_EQ(end(), 0) << log();
}

TEST_F(Watched, TakesOrdersAndSaysWhyNot) {
  EXPECT_EQ(shell(tool + "set " + pid() + " hbm_limit 16MiB").output,
            "process " + pid() + " has hbm_limit = 16MiB from now on\n");
  EXPECT_EQ(shell(tool + "hold " + pid() + " --id 1").output,
            "process " + pid() + " holds 1 region of 4.0 MiB\n");
  const CommandResult refused = shell(tool + "tag " + pid() + " blue --id 1 2>&1");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.output, "vhbm: process " + pid() +
                                ": tag = \"blue\" is not accepted: expected other, weights, kv, "
                                "workspace or none\n");
  EXPECT_EQ(shell(tool + "wake nobody_runs_this 2>&1").exit_code, 1);
  EXPECT_EQ(shell(tool + "wake 1 2>&1").exit_code, 1);
  for (const char* command : {"sleep", "wake", "hold", "tag", "set"}) {
    const std::string help = shell(tool + command + " --help").output;
    for (const char* word : {"Example", "Exit code", "PID|NAME", "--json"}) {
      EXPECT_NE(help.find(word), std::string::npos) << command << ": " << help;
    }
  }
  EXPECT_EQ(end(), 0) << log();
}

TEST_F(Watched, StatWatchesUntilItIsInterrupted) {
  const CommandResult shown =
      shell("timeout -s INT 2 " + tool + "stat --json --watch 0.2 " + pid() + "; echo code $?");
  // That of timeout itself: it did have to interrupt.
  EXPECT_NE(shown.output.find("code 124"), std::string::npos) << shown.output;
  std::istringstream lines(shown.output);
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  ASSERT_TRUE(parsed(first).is_object()) << first;
  EXPECT_FALSE(parsed(first).contains("rates"));
  ASSERT_TRUE(parsed(second).is_object()) << second;
  const Json rates = parsed(second)["rates"];
  EXPECT_GT(rates["seconds"], 0.19);
  for (const char* rate : {"promoted_bytes_per_second", "evicted_bytes_per_second", "stall_share",
                           "flips_per_second", "launches_per_second"}) {
    EXPECT_TRUE(rates.contains(rate)) << rate;
  }
  EXPECT_EQ(shell("timeout --preserve-status -s INT 2 " + tool + "stat --watch 0.2").exit_code, 0);
}

TEST_F(Watched, StatWatchesUntilTheProcessEnds) {
  CommandResult watched;
  const std::string command = tool + "stat --watch 0.1 " + pid();
  std::thread watcher([&] { watched = shell(command); });
  std::this_thread::sleep_for(2s);
  EXPECT_EQ(end(), 0) << log();
  watcher.join();
  EXPECT_EQ(watched.exit_code, 0);
  EXPECT_NE(watched.output.find("GB/s promoted"), std::string::npos) << watched.output;
  EXPECT_NE(watched.output.find("the process has ended"), std::string::npos) << watched.output;
}

TEST_F(Watched, RegionsAreListedWithWhereTheyLive) {
  // The program filled them and launched nothing; what that means is thought about now and then.
  Json seen;
  for (int i = 0; i < 100; ++i) {
    seen = parsed(shell(tool + "regions --json --sort resident " + pid()).output);
    ASSERT_TRUE(seen.is_object());
    const auto tagged = [](const Json& region) { return region["tag"] != "other"; };
    if (std::all_of(seen["regions"].begin(), seen["regions"].end(), tagged)) break;
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_EQ(seen["pid"], child_);
  EXPECT_EQ(seen["left_out"], 0);
  std::uint64_t resident = 0, host_mapped = 0, last = UINT64_MAX;
  for (const Json& region : seen["regions"]) {
    EXPECT_EQ(region["size"], 4 << 20);
    EXPECT_EQ(region["tag"], "weights");
    EXPECT_EQ(region["confidence"], 50);
    EXPECT_EQ(region["reason"], "filled from the host, and not used yet");
    EXPECT_EQ(region["held"], false);
    // The program copied into each of them.
    EXPECT_TRUE(region["idle_ns"].is_number()) << region;
    EXPECT_EQ(region["resident_bytes"].get<std::uint64_t>() +
                  region["host_mapped_bytes"].get<std::uint64_t>(),
              4u << 20);
    EXPECT_LE(region["resident_bytes"], last);
    last = region["resident_bytes"];
    resident += region["resident_bytes"].get<std::uint64_t>();
    host_mapped += region["host_mapped_bytes"].get<std::uint64_t>();
  }
  EXPECT_GT(resident, 0u);
  EXPECT_LE(resident, 32u << 20);
  EXPECT_EQ(resident + host_mapped, 64u << 20);

  const CommandResult table = shell(tool + "regions");
  EXPECT_EQ(table.exit_code, 0);
  for (const char* word : {"WHERE", "filled from the host, and not used yet", "all regions",
                           "[##########] 100%", "[..........]   0%", "64.0 MiB"}) {
    EXPECT_NE(table.output.find(word), std::string::npos) << word << "\n" << table.output;
  }
  EXPECT_TRUE(parsed(shell(tool + "regions --json").output).is_array());
}

TEST_F(Watched, OffFreezesAndTheProcessGoesOn) {
  const CommandResult off = shell(tool + "off " + pid() + " 2>&1");
  EXPECT_EQ(off.exit_code, 0) << off.output;
  EXPECT_NE(off.output.find("is frozen"), std::string::npos) << off.output;
  const Json seen = stat();
  EXPECT_EQ(seen["frozen"], 1);
  EXPECT_EQ(seen["frozen_by"], "request");
  std::this_thread::sleep_for(300ms);
  const Json later = stat();
  EXPECT_EQ(later["flips"], seen["flips"]);
  EXPECT_EQ(later["promoted_bytes"], seen["promoted_bytes"]);
  EXPECT_NE(shell(tool + "stat " + pid()).output.find("frozen by vhbm off"), std::string::npos);

  const CommandResult again = shell(tool + "off " + pid() + " 2>&1");
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.output.find("frozen already"), std::string::npos) << again.output;
  EXPECT_EQ(end(), 0) << log();
  EXPECT_NE(log().find("vhbm off"), std::string::npos) << log();
}

TEST_F(Watched, OffSaysWhenThereIsNoAnswer) {
  kill(child_, SIGSTOP);
  const CommandResult off = shell(tool + "off " + pid() + " 2>&1");
  EXPECT_EQ(off.exit_code, 3) << off.output;
  EXPECT_NE(off.output.find("did not answer"), std::string::npos) << off.output;
  // The request stands.
  kill(child_, SIGCONT);
  for (int i = 0; i < 100 && stat()["frozen"] != 1; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(stat()["frozen_by"], "request");
}

TEST_F(Watched, OffTouchesNoFileOfAnotherVersion) {
  const std::string path = state + "/" + pid() + ".stats";
  const auto content = [&] {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {})
        .substr(0, sizeof(vhbm::SharedHeader) + sizeof(vhbm::Control));
  };
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offsetof(vhbm::SharedHeader, layout));
  file.write("another!", 8);
  file.close();
  const std::string before = content();
  const CommandResult off = shell(tool + "off " + pid() + " 2>&1");
  EXPECT_EQ(off.exit_code, 70);
  EXPECT_NE(off.output.find("another version"), std::string::npos) << off.output;
  EXPECT_EQ(content(), before);
}

TEST_F(Watched, LeavesNothingThatHinders) {
  EXPECT_EQ(end(), 0) << log();
  for (const auto& entry : std::filesystem::directory_iterator(state)) {
    EXPECT_NE(entry.path().extension(), ".regions") << entry.path();
  }
  EXPECT_EQ(shell(tool + "regions 2>&1").exit_code, 1);
  EXPECT_EQ(shell(tool + "regions --json 2>/dev/null").output, "[]\n");
}

TEST(Unwatched, ProcessesAreToldApartFromThoseThatAreNone) {
  for (const char* command : {"stat ", "regions ", "off "}) {
    const CommandResult stranger =
        shell(tool + command + std::to_string(getpid()) + " 2>&1 >/dev/null");
    EXPECT_EQ(stranger.exit_code, 1) << command;
    EXPECT_NE(stranger.output.find("does not run under vHBM"), std::string::npos)
        << stranger.output;
    const CommandResult nobody = shell(tool + command + "2147483646 2>&1 >/dev/null");
    EXPECT_EQ(nobody.exit_code, 1) << command;
    EXPECT_NE(nobody.output.find("there is no process 2147483646"), std::string::npos)
        << nobody.output;
  }
}

TEST(Unwatched, CommandLinesAreRefused) {
  for (const char* arguments :
       {"off", "off 0", "wake 0", "regions --sort colour", "regions many", "stat --watch 0",
        "stat --watch 100000", "stat --watch soon", "doctor --timeout 0", "doctor now"}) {
    EXPECT_EQ(shell(tool + arguments + " 2>&1").exit_code, 64) << arguments;
  }
  for (const char* command : {"stat", "regions", "off", "doctor"}) {
    const CommandResult help = shell(tool + command + " --help");
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.output.find("Exit code"), std::string::npos) << command;
    EXPECT_NE(help.output.find("Example"), std::string::npos) << command;
  }
}

}  // namespace
