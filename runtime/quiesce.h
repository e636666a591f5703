// Phase 3 of a flip: the gate is closed and no GPU work is in flight, or the attempt was given up.
// Invariant: the gate is open again when this is gone. Locking: one at a time, on the pager's
// thread; waiting is polling, so a stuck GPU costs the deadline and nothing more.
#pragma once

#include <chrono>

#include "runtime/drain.h"
#include "runtime/gate.h"
#include "runtime/histogram.h"
#include "runtime/stats.h"

namespace vhbm {

class Quiesce {
 public:
  enum class Outcome { quiet, deadline, capturing, unseen, failed };

  Quiesce(Gate& gate, Drain& drain, Stats& stats, Histogram& stalls,
          std::chrono::nanoseconds patience);
  ~Quiesce() { reopen(); }
  Quiesce(const Quiesce&) = delete;
  Quiesce& operator=(const Quiesce&) = delete;

  [[nodiscard]] Outcome outcome() const { return outcome_; }
  // How long it took until the GPU was quiet, or was given up.
  [[nodiscard]] std::chrono::nanoseconds drained_in() const { return drained_in_; }
  // Lets submitters go on; counts the stall. Harmless when already open.
  void reopen();
  // The gate stays closed, and is the caller's to open; what follows is no stall.
  void keep_closed();
  // How long the gate was closed; after reopen().
  [[nodiscard]] std::chrono::nanoseconds stall() const { return stall_; }
  // When the gate was first tried.
  [[nodiscard]] Gate::Clock::time_point begin() const { return begin_; }

 private:
  [[nodiscard]] Outcome attempt(Gate::Clock::time_point deadline);
  void count();

  Gate& gate_;
  Drain& drain_;
  Stats& stats_;
  Histogram& stalls_;
  const Gate::Clock::time_point begin_;
  bool closed_ = false, counted_ = false;
  Outcome outcome_ = Outcome::deadline;
  std::chrono::nanoseconds drained_in_{0}, stall_{0};
};

}  // namespace vhbm
