// When a flip may be and how long it may take, so that the gate is closed for stall_limit of the
// time at most: learnt from the flips that were. Locking: none, the pager's thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/device.h"
#include "runtime/flip.h"
#include "runtime/gate.h"
#include "runtime/pacing.h"

namespace vhbm {

class FlipPace {
 public:
  using Clock = Gate::Clock;

  explicit FlipPace(const Device& device)
      : device_(device), patience_(device.options.quiesce_deadline) {}

  // None may be yet, since the last one. A limit that does not hold is more urgent than the
  // application's comfort.
  [[nodiscard]] bool resting() const;
  // What was saved up for more than one flip behind one closing of the gate, and what comes to HBM
  // meanwhile.
  [[nodiscard]] std::chrono::nanoseconds saved() const;
  [[nodiscard]] Bytes most_at_once() const;
  // How long to wait for a quiet GPU.
  [[nodiscard]] std::chrono::nanoseconds patience() const { return patience_; }

  void learn(Flip::Outcome outcome, std::chrono::nanoseconds drained_in);
  // The gate was closed for `stall`: keeps it open for long enough, or where that had been saved up
  // was long enough before.
  void rest_after(std::chrono::nanoseconds stall, std::chrono::nanoseconds at_least,
                  bool saved = false);
  void rest_after_waking();

 private:
  const Device& device_;
  std::chrono::nanoseconds patience_;
  Clock::time_point next_flip_{}, last_woken_{};
  SavedStall saved_;
};

}  // namespace vhbm
