// A server that nobody asks anything for a while sleeps, and its next request gets what it would
// have got. The device's costs run on the real clock, so the times that are printed mean something.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "runtime/stats_reader.h"

namespace {

using Json = nlohmann::json;
using vhbm::Stat;

const std::string kFolder = testing::TempDir() + "sleeping-server." + std::to_string(getpid());
const std::string kSanitizer = *SANITIZER_LIBRARY == 0
                                   ? ""
                                   : "LD_PRELOAD=" SANITIZER_LIBRARY
                                     " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 ";
constexpr double kLink = 0.25e9;  // bytes a second, as below

class SleepingServer : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(kFolder);
    std::ofstream(kFolder + "/profile.toml")
        << "clock = \"real\"\n[hbm]\nbandwidth_GBps = 60\n"
           "[link]\nto_device_GBps = 0.25\nto_host_GBps = 0.25\nboth_GBps = 0.4\n"
           "[create]\ndevice_us = 8\n[set_access]\nhandle_us = 20\n";
    std::ofstream trace(kFolder + "/trace.jsonl");
    for (int i = 0; i < 3; ++i) {
      trace << R"({"timestamp":)" << i / 2 * 1200
            << R"(,"input_length":2048,"output_length":128,"hash_ids":[0,1,)" << 2 * i + 2 << ','
            << 2 * i + 3 << "]}\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(kFolder); }

  static Json read(const std::string& file) {
    return Json::parse(std::ifstream(kFolder + "/" + file), nullptr, false);
  }
  static int serve(const std::string& environment, const std::string& before,
                   const std::string& report) {
    return std::system(("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_PROFILE=" + kFolder +
                        "/profile.toml " + environment + before + SAMPLE_SERVER " --trace " +
                        kFolder +
                        "/trace.jsonl --replay-speed 1 --experts 64 --kv-tokens 8192"
                        " --json " +
                        kFolder + "/" + report + " >>" + kFolder + "/output 2>&1")
                           .c_str());
  }
};

TEST_F(SleepingServer, AnswersAsIfItHadNotSlept) {
  ASSERT_EQ(serve("", "", "native.json"), 0);
  // Seen from outside: what it holds of HBM while it sleeps.
  std::uint64_t held_awake = 0, held_asleep = UINT64_MAX;
  std::atomic<bool> ended{false};
  std::thread watcher([&] {
    while (!ended) {
      for (const vhbm::StatsSnapshot& one : vhbm::read_live_stats(kFolder + "/state")) {
        if (one[Stat::asleep] != 0) held_asleep = std::min(held_asleep, one[Stat::hbm_bytes]);
        held_awake = std::max(held_awake, one[Stat::hbm_bytes]);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const int code =
      serve("VHBM_STATE_DIR=" + kFolder + "/state " + kSanitizer,
            VHBM_COMMAND " run --set idle_seconds=200ms --summary " + kFolder + "/summary.json -- ",
            "slept.json");
  ended = true;
  watcher.join();
  ASSERT_EQ(code, 0);
  EXPECT_EQ(read("slept.json").value("digest", "x"), read("native.json").value("digest", ""));
  const Json stats = read("summary.json")["stats"];
  EXPECT_GE(stats.value("sleeps", 0), 1);
  EXPECT_GE(stats.value("wakes", 0), 1);
  EXPECT_EQ(stats.value("frozen", 1), 0);
  EXPECT_GE(held_awake, 36u << 20);
  EXPECT_LE(held_asleep, 4u << 20);
  const double woken = stats.value("woken_bytes", 0.0), left = stats.value("left_bytes", 0.0);
  std::printf("left %.1f MiB; woke with %.1f MiB in %.1f ms, of which the link takes %.1f ms\n",
              left / (1 << 20), woken / (1 << 20), stats.value("wake_ns", 0.0) / 1e6,
              woken / kLink * 1e3);
  std::printf(
      "worst time to first token %.1f ms, %.1f ms without sleep; all of it by link %.1f ms\n",
      read("slept.json")["ttft_ms"].value("p99", 0.0),
      read("native.json")["ttft_ms"].value("p99", 0.0), left / kLink * 1e3);
}

}  // namespace
