// The moments in which the application has waited for its own work, so that the GPU may well be
// quiet: a flip that can wait waits for one. Invariant: each time that a flip waits, one thread of
// the application is kept, for a moment at most, whatever becomes of the pager. Locking: came() and
// hand_over() none, from any thread; the rest is the pager's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "runtime/gate.h"

namespace vhbm {

class QuietPoints {
 public:
  using Clock = Gate::Clock;

  // One is there; true where a flip waits for it, and this is the first since.
  bool came() noexcept {
    count_.fetch_add(1, std::memory_order_relaxed);
    return wanted_.load(std::memory_order_relaxed) &&
           wanted_.exchange(false, std::memory_order_relaxed);
  }
  // After came(), and after the pager was woken: lets it close the gate before this thread launches
  // anything more.
  static void hand_over(const Gate& gate) noexcept;

  void round_begins() noexcept;
  void round_ends() noexcept { wanted_.store(waits_now_, std::memory_order_relaxed); }
  // Whether a flip is to wait, since the application waits for its work now and then; not where it
  // is urgent, and not for ever.
  [[nodiscard]] bool wait(bool urgent) noexcept;
  // Whether a flip waits, and what it waits for came.
  [[nodiscard]] bool came_since() const noexcept {
    return waits_ && count_.load(std::memory_order_relaxed) != known_;
  }
  // There is nothing to flip.
  void give_up() noexcept { waits_ = false; }
  // Whether the last wait ended with what it was for.
  [[nodiscard]] bool at_one() const noexcept { return at_one_; }

 private:
  // Learns how far they lie apart: 0 where none came lately.
  void learn(std::uint64_t count) noexcept;

  std::atomic<std::uint64_t> count_{0};
  std::atomic<bool> wanted_{false};
  bool waits_ = false, at_one_ = false;
  bool waits_now_ = false;   // a wait is all that this round ended with
  std::uint64_t known_ = 0;  // when the last wait began or ended
  Clock::time_point deadline_{};
  std::chrono::nanoseconds apart_{0};
  Clock::time_point learnt_at_ = Clock::now();
  std::uint64_t learnt_from_ = 0;
};

}  // namespace vhbm
