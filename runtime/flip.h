// One flip: a batch of chunks changes tier, by phases, the irreversible last.
//   plan        frames, all of them at addresses that copies reach       no side effect yet
//   quiesce     the gate closes, the GPU gets quiet                      or the flip is given up
//   validate    which copies taken ahead still are what moves            by hash, on the GPU
//   copy        promotions, then evictions that have no copy             old frames stay mapped
//   switch      unmap, map, set access, run by run                       restored on an error
//   reopen, and give back what is not mapped any more
// Copying and switching go by pieces: while one is copied, the one before it is switched.
// Promotions come first: they need only the spare HBM frames, and free the host frames that
// evictions go to. Invariant: at every moment each chunk is mapped to a frame that holds the
// application's bytes, or the gate is closed. Locking: the caller holds the device's lock
// throughout.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <vector>

#include "runtime/device.h"
#include "runtime/gate.h"
#include "runtime/move.h"
#include "runtime/quiesce.h"
#include "runtime/residency.h"

namespace vhbm {

class Flip {
 public:
  enum class Outcome { done, deadline, capturing, unseen, no_memory, failed };

  Flip(Device& device, Gate& gate) : device_(device), gate_(gate) {}

  // Moves what of the plan there are frames for. `then` is called behind the gate once all of it
  // has moved; until it returns, stall() is the part without it.
  [[nodiscard]] Outcome run(const Plan& plan, std::chrono::nanoseconds patience,
                            const std::function<void()>& then = {});
  // What more moves, then: another flip of its own, of the same policy's plan. Its stall is its
  // part of the first one's.
  [[nodiscard]] Outcome go_on(const Plan& plan);
  // The same behind a gate that the caller has closed, the GPU being quiet. `meanwhile` is called
  // while copies are in flight, as Copier::wait says.
  [[nodiscard]] Outcome run_behind_closed_gate(const Plan& plan, Copier::Meanwhile meanwhile);

  // How long the gate was closed, and how much of that the drain took.
  [[nodiscard]] std::chrono::nanoseconds stall() const { return stall_; }
  [[nodiscard]] std::chrono::nanoseconds drained_in() const { return drained_in_; }

  // For who records it: what was to move, and when each phase had ended; one that was not reached
  // ended as soon as it began. Good until the device's lock is given back.
  struct Times {
    Gate::Clock::time_point begin, prepared, quiet, validated, arrived, left, end;
  };
  [[nodiscard]] const Times& times() const { return times_; }
  [[nodiscard]] std::span<const Move> promotions() const { return promotions_; }
  [[nodiscard]] std::span<const Move> evictions() const { return evictions_; }

 private:
  using Moves = std::vector<Move>;

  void reached(Gate::Clock::time_point Times::*phase);
  // The phases before the gate: `done` when there is something to move.
  [[nodiscard]] Outcome prepare(const Plan& plan);
  // Those behind it.
  [[nodiscard]] Outcome carry_out();
  [[nodiscard]] Outcome settle(Outcome outcome);
  [[nodiscard]] static bool by_address(const Move& a, const Move& b) {
    return a.address() < b.address();
  }
  void choose_promotions(const Plan& plan);
  // An HBM frame and the addresses for it; false when they cannot be had.
  [[nodiscard]] bool prepare_promotion(Move& move);
  void choose_evictions(const Plan& plan);
  // A host frame for an eviction: idle, or vacated by one of the promotions, or whatever there is.
  [[nodiscard]] bool find_host_frame(Move& move);
  // Drops the copies that are not what the chunks hold any more.
  [[nodiscard]] bool validate();
  [[nodiscard]] bool find_chunk(ChunkId id, PageState expected, Move& move) const;
  // Copies and switches one direction. False when something went wrong; what has landed is switched
  // all the same.
  [[nodiscard]] bool move_all(Moves& moves, PageState during, PageState after);
  [[nodiscard]] bool switch_all(std::span<Move> moves, PageState during, PageState after);
  // Neighbours of one region.
  [[nodiscard]] bool switch_run(std::span<Move> moves, PageState during, PageState after);
  // Chunks that did not move go back to the state they came from; frames to their pools.
  void settle(Moves& moves, PageState during, PageState before);
  void account(const Moves& moves);
  // Tells the thrash guard.
  void judge(const Move& move, Bytes size);
  // What a move leaves to nobody; nullptr when that is nothing.
  [[nodiscard]] Frame* unused_frame(Move& move);

  Device& device_;
  Gate& gate_;
  Moves promotions_, evictions_;
  std::size_t vacated_ = 0;
  bool copies_in_flight_ = false;
  bool by_choice_ = false;  // of a policy; a sleep leaves none
  Copier::Meanwhile meanwhile_;
  std::chrono::nanoseconds stall_{0}, drained_in_{0};
  Times times_{};
};

}  // namespace vhbm
