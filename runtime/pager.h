// The thread that decides when to move: every few milliseconds it lets the policy rank the chunks,
// and flips what is worth it. Invariant: over time the launch gate is closed for at most
// `stall_share`. Locking: the device's lock for each round.
#pragma once

#include <chrono>

#include "runtime/allocator.h"
#include "runtime/device.h"
#include "runtime/flip.h"
#include "runtime/gate.h"
#include "runtime/region_publisher.h"
#include "runtime/residency.h"
#include "runtime/worker.h"

namespace vhbm {

class Pager {
 public:
  Pager(Device& device, Allocator& allocator, Gate& gate, Decisions decisions);
  ~Pager() { stop(); }
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  [[nodiscard]] Status start();
  // As Worker::stop().
  void stop() noexcept;
  // No thread uses this any more.
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }

 private:
  using Clock = Gate::Clock;

  void round_safely() noexcept;
  void round();
  [[nodiscard]] bool resting() const;
  void publish() noexcept;
  // Frames and regions that could not be taken back earlier. False while copies are still in
  // flight.
  [[nodiscard]] bool clean_up();
  // Copies of an earlier round. False while they are in flight.
  [[nodiscard]] bool collect_copies();
  // Starts copying what the plan evicts; true when the flip is to wait for it.
  [[nodiscard]] bool copy_ahead(const Plan& plan);
  [[nodiscard]] Plan make_plan();
  // Counts which regions are in use, and now and then guesses anew what they hold.
  void observe_regions();
  void count(Flip::Outcome outcome);
  // Keeps the gate open long enough after it was closed that stall_share holds.
  void rest_after(std::chrono::nanoseconds stall, std::chrono::nanoseconds at_least);
  void learn(Flip::Outcome outcome, std::chrono::nanoseconds drained_in);

  Device& device_;
  Allocator& allocator_;
  Gate& gate_;
  const Decisions decisions_;
  PolicyMemory memory_;
  Clock::time_point next_tagging_{};
  std::chrono::nanoseconds patience_;  // with a drain; learnt
  Clock::time_point next_flip_{};
  Clock::time_point next_offer_{};  // of what the driver refused to take back
  bool copied_ahead_ = false;       // since the last flip
  bool told_unseen_ = false;

  RegionPublisher region_publisher_;
  Worker worker_;
};

}  // namespace vhbm
