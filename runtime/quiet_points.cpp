#include "runtime/quiet_points.h"

#include <algorithm>
#include <thread>

namespace vhbm {
namespace {

// How long a flip waits: for a few of them, as far apart as they are, within bounds.
constexpr int awaited = 3;
constexpr std::chrono::milliseconds least_patience{20}, most_patience{500};
// What is learnt from, whichever comes first.
constexpr std::uint64_t enough = 4;
constexpr std::chrono::seconds long_enough{2};
// How long a thread that had one lets the pager be the next at the gate.
constexpr std::chrono::microseconds handover_patience{200};

}  // namespace

void QuietPoints::hand_over(const Gate& gate) noexcept {
  const Clock::time_point deadline = Clock::now() + handover_patience;
  while (!gate.closed() && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(10));
  }
}

void QuietPoints::round_begins() noexcept {
  waits_now_ = false;
  learn(count_.load(std::memory_order_relaxed));
}

bool QuietPoints::wait(bool urgent) noexcept {
  const std::uint64_t count = count_.load(std::memory_order_relaxed);
  const bool came = count != known_;
  known_ = count;
  at_one_ = waits_ && came;
  if (urgent || at_one_) {
    waits_ = false;
  } else if (!waits_) {
    waits_ = came || apart_.count() != 0;
    deadline_ = Clock::now() + std::clamp<std::chrono::nanoseconds>(apart_ * awaited,
                                                                    least_patience, most_patience);
  } else if (Clock::now() >= deadline_) {
    waits_ = false;
  }
  return waits_now_ = waits_;
}

void QuietPoints::learn(std::uint64_t count) noexcept {
  const std::uint64_t since = count - learnt_from_;
  const std::chrono::nanoseconds elapsed = Clock::now() - learnt_at_;
  if (since < enough && elapsed < long_enough) return;
  apart_ = since == 0 ? std::chrono::nanoseconds(0) : elapsed / static_cast<std::int64_t>(since);
  learnt_at_ += elapsed;
  learnt_from_ = count;
}

}  // namespace vhbm
