// The real clock: work sleeps for what it costs, and so do calls. Work that draws at the same time
// shares the device as on the virtual clock; the scheduler of the system makes it approximate.
// Locking: one mutex of its own; never taken together with the machine's lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "cost/timeline.h"

namespace simgpu {

class RealClock {
 public:
  explicit RealClock(const Profile& profile) : scale_(profile.scale), fluid_(profile) {}

  // Returns when the phases are over, one after another, each on its engine in turn.
  void sleep_through(std::deque<Phase>& phases);
  // One call at a time, as behind the driver's lock.
  void sleep_for_call(double seconds);
  // Simulated seconds since this was made.
  [[nodiscard]] double now() const;

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] Clock::duration really(double seconds) const {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(seconds / scale_));
  }
  void pass_until_now();

  const double scale_;  // simulated seconds in a real one
  const Clock::time_point begin_ = Clock::now();
  std::mutex calls_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Fluid fluid_;
  double passed_ = 0;  // simulated; as fluid_ knows
  bool busy_[engine_count] = {};
};

}  // namespace simgpu
