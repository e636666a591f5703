// A program under vHBM that holds 64 MiB, twice what HBM it may have, until it is told to end: for
// tests of the commands that watch and steer.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "command.h"

using Json = nlohmann::json;

inline const std::string state = "/tmp/vhbm-live-test." + std::to_string(getpid());
inline const std::string sanitizer = *SANITIZER_LIBRARY != '\0'
                                         ? "LD_PRELOAD=" SANITIZER_LIBRARY
                                           " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "
                                         : "";
inline const std::string tool =
    "env " + sanitizer +
    "LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB VHBM_STATE_DIR=" + state +
    " " VHBM_COMMAND " ";

inline Json parsed(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

class Watched : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove(go_);
    child_ = fork();
    if (child_ == 0) {
      const std::string command = "exec " + tool + "run --hbm-limit 32MiB --host-limit 128MiB -- " +
                                  CUDA_PROGRAM + " 64 wait:" + go_ + " >" + log_ + " 2>&1";
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    // Its work is done, and the regions are told of a little later.
    for (int i = 0; i < 4000 && log().find("read back") == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (int i = 0; i < 400 && regions_count() < 16; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_EQ(regions_count(), 16u) << log();
  }
  void TearDown() override {
    end();
    std::filesystem::remove_all(state);
    std::filesystem::remove(log_);
    std::filesystem::remove(go_);
  }

  // Its exit code.
  int end() {
    if (child_ <= 0) return -1;
    std::ofstream(go_) << "go";
    kill(child_, SIGCONT);
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] std::string pid() const { return std::to_string(child_); }
  [[nodiscard]] Json stat() const { return parsed(shell(tool + "stat --json " + pid()).output); }
  [[nodiscard]] std::size_t regions_count() const {
    const Json seen = parsed(shell(tool + "regions --json " + pid() + " 2>/dev/null").output);
    return seen.is_object() ? seen["regions"].size() : 0;
  }
  [[nodiscard]] std::string log() const {
    std::ifstream file(log_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  pid_t child_ = 0;
  const std::string go_ = state + ".go", log_ = state + ".log";
};
