// The thread that decides when to move: every few milliseconds it lets the policy rank the chunks,
// and flips what is worth it. Invariant: over time the launch gate is closed for at most
// `stall_limit`, and no more is copied than `copy_rate` says. Locking: the device's lock for each
// round.
#pragma once

#include <chrono>
#include <vector>

#include "runtime/allocator.h"
#include "runtime/device.h"
#include "runtime/flip.h"
#include "runtime/flip_pace.h"
#include "runtime/gate.h"
#include "runtime/pacing.h"
#include "runtime/quiet_points.h"
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
  // The application waited for its own work, so that the GPU may well be quiet now. From any
  // thread.
  void quiet_point() noexcept {
    if (!quiet_points_.came()) return;
    worker_.wake();
    QuietPoints::hand_over(gate_);
  }
  // No thread uses this any more.
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }

 private:
  using Clock = Gate::Clock;

  void round_safely() noexcept;
  void round();
  // What is not seen in time is lost.
  void only_observe();
  // Whether the last flip, and what was copied for it, has yet to make way by copy_rate.
  [[nodiscard]] bool ahead_of_copy_rate() const;
  // All that the pager and sleeps have copied between HBM and host.
  [[nodiscard]] Bytes copied() const;
  void publish() noexcept;
  // Frames and regions that could not be taken back earlier. False while copies are still in
  // flight.
  [[nodiscard]] bool clean_up();
  // Copies of an earlier round. False while they are in flight.
  [[nodiscard]] bool collect_copies();
  // Starts copying what the plan moves, as far as that may be; true when the flip is to wait for
  // it.
  [[nodiscard]] bool copy_ahead(const Plan& plan);
  // Whether nothing changes this region's bytes: the user's word on what is surely weights.
  [[nodiscard]] bool promised(const Region& region) const;
  // A kernel wrote to what was coming to HBM: `left` has it, and the chunk may not.
  void promise_broken(Region& region, std::size_t chunk, CleanCopy left);
  // Lets the thrash guard look at what moved.
  void judge();
  // What is left of HBM, and what has to leave it.
  [[nodiscard]] HbmRoom room() const;
  [[nodiscard]] Plan make_plan();
  // Counts which regions are in use, and now and then guesses anew what they hold.
  void observe_regions();
  void count(Flip::Outcome outcome);
  // By a flip; what is to come at once by several, until what was saved up for that is spent.
  void carry_out(Plan plan);
  // Whether as much as left HBM with the last sleep is in HBM again, and no room for more.
  [[nodiscard]] bool is_back() const;
  void end_return();

  Device& device_;
  Allocator& allocator_;
  Gate& gate_;
  const Decisions decisions_;
  PolicyMemory memory_;
  Clock::time_point next_tagging_{};
  FlipPace pace_;
  Clock::time_point next_pool_look_{};
  bool copied_ahead_ = false;  // since the last flip
  // Of the last flip: when what was copied for it began to be, copied() before, and how much it
  // was.
  Clock::time_point copying_since_{};
  Bytes copied_before_, copied_for_flip_;
  bool promise_holds_ = true;  // weights_are_readonly, as far as it was checked
  QuietPoints quiet_points_;
  Clock::time_point next_offer_{};  // of what the driver refused to take back
  bool told_unseen_ = false;

  RegionPublisher region_publisher_;
  Worker worker_;
};

}  // namespace vhbm
