// Page-locks host memory ahead of need, so that neither an allocation nor a flip waits for it, and
// gives it back when it is idle. One frame at a time, without any lock while the driver works.
// Invariant: frames in use and idle ones together stay within host_limit, and no frame is made that
// the machine or the process's cgroup has no room for. Locking: the device's lock, for moments.
#pragma once

#include <chrono>
#include <cstddef>

#include "runtime/device.h"
#include "runtime/worker.h"

namespace vhbm {

class HostPool {
 public:
  explicit HostPool(Device& device) : device_(device) {}

  [[nodiscard]] Status start();
  void stop() noexcept { worker_.stop(); }
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }

 private:
  using Clock = std::chrono::steady_clock;

  void round();
  // How many idle frames there should be now.
  [[nodiscard]] std::size_t wanted() const;
  [[nodiscard]] bool room_for_more();

  Device& device_;
  Clock::time_point needed_at_ = Clock::now(), looked_at_{}, refused_at_{};
  bool room_ = true;
  Worker worker_;
};

}  // namespace vhbm
