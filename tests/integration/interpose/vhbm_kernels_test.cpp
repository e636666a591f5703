// The kernels of a running program in its recording and its timeline, and what becomes of them
// where the program profiles itself.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "command.h"

namespace {

using Json = nlohmann::json;

const std::string folder = "/tmp/vhbm-kernels-test." + std::to_string(getpid());
const std::string sanitizer = *SANITIZER_LIBRARY != '\0'
                                  ? "LD_PRELOAD=" SANITIZER_LIBRARY
                                    " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "
                                  : "";
const std::string tool =
    "env " + sanitizer +
    "LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB VHBM_STATE_DIR=" + folder +
    " " VHBM_COMMAND " ";

class Kernels : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder); }
  void TearDown() override {
    (void)end();
    std::filesystem::remove_all(folder);
  }

  // KERNEL_PROGRAM under vHBM, once it launches kernels.
  void begin(const std::string& mode = "") {
    const std::string command =
        tool + "run --quiet -- " KERNEL_PROGRAM " " + go_ + " " + mode + " > " + log_ + " 2>&1";
    child_ = fork();
    if (child_ == 0) {
      execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 4000 && log().find("runs") == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_NE(log().find("runs"), std::string::npos) << log();
  }
  // Its exit code.
  int end() {
    if (child_ <= 0) return -1;
    std::ofstream(go_) << "go";
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] std::string log() const { return content(log_); }
  static std::string content(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] CommandResult record(const std::string& options) const {
    return shell(tool + "record " + std::to_string(child_) + " -o " + trace_ + " --force " +
                 options + " 2>&1");
  }
  [[nodiscard]] bool has_cupti() const {
    return content("/proc/" + std::to_string(child_) + "/maps").find("libcupti") !=
           std::string::npos;
  }
  // The slices of the timeline that lie under "kernels, by stream", by track.
  [[nodiscard]] std::map<int, std::vector<Json>> kernel_tracks() const {
    std::map<int, std::vector<Json>> tracks;
    const Json timeline = Json::parse(content(timeline_), nullptr, false);
    if (!timeline.is_object()) return tracks;
    int process = -1;
    for (const Json& event : timeline["traceEvents"]) {
      if (event["ph"] == "M" && event["name"] == "process_name" &&
          event["args"]["name"] == "kernels, by stream") {
        process = event["pid"];
      }
    }
    for (const Json& event : timeline["traceEvents"]) {
      if (event["ph"] == "X" && event["pid"] == process) tracks[event["tid"]].push_back(event);
    }
    return tracks;
  }

  pid_t child_ = 0;
  const std::string go_ = folder + "/go", log_ = folder + "/log", trace_ = folder + "/run.vhbm",
                    timeline_ = folder + "/run.json";
};

TEST_F(Kernels, AreInTheTimelineOnRequest) {
  begin();
  const CommandResult plain = record("--seconds 0.3 --timeline " + timeline_);
  EXPECT_EQ(plain.exit_code, 0) << plain.output;
  EXPECT_EQ(plain.output.find(" kernels"), std::string::npos) << plain.output;
  EXPECT_TRUE(kernel_tracks().empty());
  EXPECT_FALSE(has_cupti()) << "nobody asked for kernel times";

  const CommandResult asked = record("--seconds 0.5 --kernels --timeline " + timeline_);
  EXPECT_EQ(asked.exit_code, 0) << asked.output;
  EXPECT_NE(asked.output.find(" kernels ("), std::string::npos) << asked.output;
  EXPECT_TRUE(has_cupti());
  const auto tracks = kernel_tracks();
  ASSERT_FALSE(tracks.empty());
  std::size_t fills = 0;
  for (const auto& [track, slices] : tracks) {
    double free_at = 0;
    for (const Json& slice : slices) {
      fills += slice["name"] == "fill_words" ? 1 : 0;
      // In order, and inside the half second that was recorded.
      EXPECT_GE(slice["ts"].get<double>() + 1e-3, free_at) << slice;
      EXPECT_GT(slice["dur"].get<double>(), 0) << slice;
      free_at = slice["ts"].get<double>() + slice["dur"].get<double>();
      EXPECT_LT(free_at, 5e6) << slice;
    }
  }
  EXPECT_GT(fills, 30u);
  EXPECT_EQ(end(), 0) << log();
  // As many as it launched at most, and none of them twice.
  const std::size_t at = log().find("launched ");
  ASSERT_NE(at, std::string::npos) << log();
  EXPECT_LT(fills, std::stoul(log().substr(at + 9)));
}

TEST_F(Kernels, AreThereASecondTime) {
  begin();
  for (int i = 0; i < 2; ++i) {
    const CommandResult asked = record("--seconds 0.3 --kernels --json");
    const Json told = Json::parse(asked.output, nullptr, false);
    ASSERT_TRUE(told.is_object()) << asked.output;
    EXPECT_GT(told["kernels"], 10) << asked.output;
    EXPECT_EQ(told["kernels_lost"], 0) << asked.output;
    EXPECT_EQ(told["no_kernels"], "") << asked.output;
  }
  EXPECT_EQ(end(), 0) << log();
}

TEST_F(Kernels, OfAProgramThatProfilesItselfStayItsOwn) {
  begin("profile");
  const CommandResult asked = record("--seconds 0.3 --kernels --timeline " + timeline_);
  EXPECT_EQ(asked.exit_code, 0) << asked.output;
  EXPECT_NE(asked.output.find("no kernel times: a profiler has this process's CUPTI"),
            std::string::npos)
      << asked.output;
  EXPECT_TRUE(kernel_tracks().empty());
  EXPECT_EQ(end(), 0) << log();
  // "launched N, told N"
  const std::string text = log();
  const std::size_t launched = text.find("launched "), told = text.find(", told ");
  ASSERT_NE(told, std::string::npos) << text;
  EXPECT_GT(std::stoul(text.substr(launched + 9)), 0u) << text;
  EXPECT_EQ(std::stoul(text.substr(launched + 9)), std::stoul(text.substr(told + 7))) << text;
}

TEST_F(Kernels, AreThereFromTheStartOfAProgram) {
  std::thread ender([this] {
    // The source is switched on a moment after the recording began.
    for (int i = 0; i < 4000 && content(trace_).empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    std::ofstream(go_) << "go";
  });
  const CommandResult ran = shell(tool + "record -o " + trace_ + " --kernels --timeline " +
                                  timeline_ + " -- " KERNEL_PROGRAM " " + go_ + " 2>&1");
  ender.join();
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  std::size_t fills = 0;
  for (const auto& [track, slices] : kernel_tracks()) {
    for (const Json& slice : slices) fills += slice["name"] == "fill_words" ? 1 : 0;
  }
  EXPECT_GT(fills, 30u) << ran.output;
}

}  // namespace
