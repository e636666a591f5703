// A real Valkey or Redis server of a test's own, on a Unix socket in a folder, gone with the test.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/spill/redis_connection.h"
#include "tests/unit/spill/blocks.h"

namespace vhbm {

class RedisServer {
 public:
  // Arguments as the program takes them, beside those that make it listen.
  explicit RedisServer(std::vector<std::string> arguments = {});
  ~RedisServer() { kill(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // Whether there is such a program here.
  [[nodiscard]] static bool is_installed();

  // Starts it, and returns once it answers. What it had before is gone. It ends with the thread
  // that calls this.
  void start();
  void kill();
  void stop() const { ::kill(child_, SIGSTOP); }
  void go_on() const { ::kill(child_, SIGCONT); }

  [[nodiscard]] RemoteSettings settings() const;
  [[nodiscard]] Result<Reply> ask(std::vector<std::string_view> words) const;
  [[nodiscard]] long long key_count() const;
  // The name of one of its keys.
  [[nodiscard]] std::string some_key() const;

 private:
  const Folder folder_;
  const std::vector<std::string> arguments_;
  pid_t child_ = 0;
};

// Whether `condition` came to hold within ten seconds.
template <typename Condition>
bool comes_true(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace vhbm
