#include "cost/real_clock.h"

#include <algorithm>
#include <thread>

namespace simgpu {

double RealClock::now() const {
  return std::chrono::duration<double>(Clock::now() - begin_).count() * scale_;
}

// Change by change, since rates differ between them.
void RealClock::pass_until_now() {
  for (const double until = now(); passed_ < until;) {
    const double seconds = std::min(until - passed_, fluid_.until_change());
    fluid_.pass(seconds);
    passed_ += seconds;
  }
}

void RealClock::sleep_through(std::deque<Phase>& phases) {
  for (Phase& phase : phases) {
    std::unique_lock lock(mutex_);
    bool& busy = busy_[static_cast<std::size_t>(phase.engine)];
    if (phase.engine != Engine::none) {
      changed_.wait(lock, [&] { return !busy; });
      busy = true;
    }
    phase.began = Clock::now();
    pass_until_now();
    fluid_.add(&phase.demand);
    changed_.notify_all();  // the others get less from now on
    while (!Fluid::exhausted(phase.demand)) {
      const double soonest = fluid_.until_change();
      changed_.wait_for(lock, really(soonest) + std::chrono::microseconds(1));
      pass_until_now();
    }
    fluid_.remove(&phase.demand);
    phase.ended = Clock::now();
    if (phase.engine != Engine::none) busy = false;
    changed_.notify_all();
  }
}

void RealClock::sleep_for_call(double seconds) {
  std::lock_guard one_at_a_time(calls_);
  std::this_thread::sleep_for(really(seconds));
}

}  // namespace simgpu
