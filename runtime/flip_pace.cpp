// A flip that stalled for long is followed by a long rest, a drain that needed longer is given
// longer.
#include "runtime/flip_pace.h"

#include <algorithm>

namespace vhbm {
namespace {

// Share of the time that the gate may be closed while a sleep's chunks come back, and how long the
// work that woke the process is left alone at most.
constexpr std::int64_t return_share = 50;
constexpr std::chrono::seconds longest_rest_after_waking{1};

}  // namespace

bool FlipPace::resting() const {
  return Clock::now() < next_flip_ && !device_.frames->over_limit();
}

std::chrono::nanoseconds FlipPace::saved() const {
  return saved_.at(Clock::now().time_since_epoch(), stall_share(device_.options));
}

Bytes FlipPace::most_at_once() const {
  return saved_.worth(Clock::now().time_since_epoch(), stall_share(device_.options),
                      static_cast<double>(device_.stats.get(Stat::link_to_hbm)));
}

void FlipPace::learn(Flip::Outcome outcome, std::chrono::nanoseconds drained_in) {
  const std::chrono::nanoseconds least = device_.options.quiesce_deadline;
  if (outcome == Flip::Outcome::deadline) patience_ = patience_after_deadline(patience_, least);
  if (outcome == Flip::Outcome::done) patience_ = patience_after_drain(drained_in, least);
}

void FlipPace::rest_after(std::chrono::nanoseconds stall, std::chrono::nanoseconds at_least,
                          bool saved) {
  const Clock::time_point now = Clock::now();
  // What comes back after a sleep is needed now, and while nobody waits it costs nothing.
  const bool returning = device_.returning.load(std::memory_order_relaxed);
  const std::int64_t share = stall_share(device_.options);
  if (!returning) saved_.spend(stall, now.time_since_epoch(), share);
  const std::chrono::nanoseconds rest =
      saved && !returning
          ? saved_.spent_until() - now.time_since_epoch()
          : vhbm::rest_after(stall, returning ? std::max(share, return_share) : share);
  next_flip_ = std::max(next_flip_, now + std::max(rest, at_least));
}

// The gate was closed while the process woke: as long again, and what woke it is not disturbed.
void FlipPace::rest_after_waking() {
  const Clock::time_point woken = device_.woken_at.load();
  if (!device_.returning.load() || woken == last_woken_) return;
  last_woken_ = woken;
  const Clock::duration stall = Clock::now() - woken;
  next_flip_ = std::max(next_flip_,
                        Clock::now() + std::min<Clock::duration>(stall, longest_rest_after_waking));
}

}  // namespace vhbm
