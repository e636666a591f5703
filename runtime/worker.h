// A background thread that does rounds of work until it is stopped. It has no signals: those are
// the application's. Invariant: stop() never waits for ever; a thread that is stuck in the driver
// is left behind, and ended() says so. Locking: its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/status.h"

namespace vhbm {

class Worker {
 public:
  Worker() = default;
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Calls `round`, which does not throw, every `interval`.
  [[nodiscard]] Status start(const char* name, std::chrono::nanoseconds interval,
                             std::function<void()> round);
  // Begins the next round now, or right after the one under way.
  void wake() noexcept;
  // Ends the thread. In a forked child there is none, and nothing is waited for.
  void stop() noexcept;
  [[nodiscard]] bool stopping() const noexcept;
  // No thread runs rounds any more.
  [[nodiscard]] bool ended() const noexcept { return !running_; }

 private:
  // Outlives this where the thread is left behind.
  struct State {
    std::mutex mutex;
    std::condition_variable wake;
    bool stopping = false, ended = false, woken = false;
  };

  std::shared_ptr<State> state_;
  std::thread thread_;
  pid_t owner_ = 0;
  bool running_ = false;  // as start() and stop() know
};

}  // namespace vhbm
