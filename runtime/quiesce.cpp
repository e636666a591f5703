// Polls eagerly at first, since most drains end within microseconds, and then ever less often.
#include "runtime/quiesce.h"

#include <algorithm>
#include <thread>

namespace vhbm {

Quiesce::Quiesce(Gate& gate, Drain& drain, Stats& stats, Histogram& stalls,
                 std::chrono::nanoseconds patience)
    : gate_(gate), drain_(drain), stats_(stats), stalls_(stalls), begin_(Gate::Clock::now()) {
  // A look before the gate: captures last long, and closing would be for nothing.
  outcome_ = drain_.capturing() ? Outcome::capturing : attempt(begin_ + patience);
  drained_in_ = Gate::Clock::now() - begin_;
  if (outcome_ != Outcome::quiet) reopen();
}

Quiesce::Outcome Quiesce::attempt(Gate::Clock::time_point deadline) {
  closed_ = gate_.close(deadline);
  if (!closed_) {
    stall_ = Gate::Clock::now() - begin_;
    return Outcome::deadline;
  }
  Drain::State state = drain_.begin();
  if (state == Drain::State::quiet) state = drain_.poll();
  auto pause = std::chrono::microseconds(5);
  while (state == Drain::State::busy) {
    if (Gate::Clock::now() >= deadline) return Outcome::deadline;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(200));
    state = drain_.poll();
  }
  switch (state) {
    case Drain::State::quiet:
      return Outcome::quiet;
    case Drain::State::capturing:
      return Outcome::capturing;
    case Drain::State::unseen:
      return Outcome::unseen;
    default:
      return Outcome::failed;
  }
}

void Quiesce::reopen() {
  if (closed_) {
    gate_.open();
    closed_ = false;
    stall_ = Gate::Clock::now() - begin_;
  }
  count();
}

void Quiesce::keep_closed() {
  stall_ = Gate::Clock::now() - begin_;
  closed_ = false;
  count();
}

void Quiesce::count() {
  const auto stall = static_cast<std::uint64_t>(stall_.count());
  if (counted_) return;
  counted_ = true;
  if (stall == 0) return;
  stalls_.add(stall);
  stats_.set(Stat::stall_p50_ns, stalls_.percentile(50));
  stats_.set(Stat::stall_p99_ns, stalls_.percentile(99));
  stats_.add(Stat::stall_ns, stall);
  stats_.raise(Stat::stall_max_ns, stall);
}

}  // namespace vhbm
