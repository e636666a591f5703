// What a device profile adds to the simulator: what work and calls cost, on the clock that the
// profile names. There is none without a profile, and nobody is asked for the time then. Locking:
// the machine's lock, but where it is said otherwise.
#pragma once

#include <cuda.h>

#include <memory>
#include <mutex>

#include "cost/profile.h"
#include "cost/real_clock.h"
#include "cost/recorder.h"
#include "cost/timeline.h"
#include "engine/stream.h"

namespace simgpu {

struct Machine;

class Costs {
 public:
  explicit Costs(const Profile& profile);

  // Before the operation can run. `previous` is the one before it in its stream, or null.
  void submitted(Operation& operation, const Operation* previous, const Machine& machine);
  // After it really ran, without the lock: on the real clock, sleeps.
  void executed(Recorder& recorder);
  // After that, with the lock.
  void ended(Operation& operation, Recorder& recorder);
  // The host knows that the operation ended, so it is at least that late. Requires it to be done;
  // may release the lock meanwhile.
  void observed(std::unique_lock<std::mutex>& lock, Machine& machine, const Operation& operation);

  // Seconds between the ends of two operations that were observed.
  [[nodiscard]] double between(const Operation& begin, const Operation& end) const;
  // Simulated seconds on the host's clock.
  [[nodiscard]] double now() const;

  // Seconds that a call takes, and how they are spent: at once on the virtual clock; on the real
  // one by sleeping, without the lock.
  [[nodiscard]] double launch() const;
  [[nodiscard]] double create(const CUmemAllocationProp& properties, std::size_t size) const;
  [[nodiscard]] double pin(std::size_t size) const;
  [[nodiscard]] double map() const;
  [[nodiscard]] double set_access(std::size_t handles) const;
  [[nodiscard]] double unmap(std::size_t handles) const;
  [[nodiscard]] bool sleeps() const { return real_clock_ != nullptr; }
  void spend(double seconds) { timeline_->spend(seconds); }
  void sleep(double seconds) { real_clock_->sleep_for_call(seconds); }

  const Profile profile;

 private:
  // One of these two.
  std::unique_ptr<Timeline> timeline_;
  std::unique_ptr<RealClock> real_clock_;
};

}  // namespace simgpu
