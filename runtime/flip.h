// One flip: a batch of chunks changes tier, by phases, the irreversible last.
//   plan        frames to move to, at addresses that copies reach        no side effect yet
//   quiesce     the gate closes, the GPU gets quiet                      or the flip is given up
//   copy        promotions, then evictions                               old frames stay mapped
//   switch      unmap, map, set access, run by run                       restored on an error
//   reopen, and give back what is not mapped any more
// Promotions come first: they need only the spare HBM frames, and free the host frames that
// evictions go to. Invariant: at every moment each chunk is mapped to a frame that holds the
// application's bytes, or the gate is closed. Locking: the caller holds the device's lock
// throughout.
#pragma once

#include <chrono>
#include <vector>

#include "runtime/device.h"
#include "runtime/gate.h"
#include "runtime/quiesce.h"
#include "runtime/residency.h"

namespace vhbm {

class Flip {
 public:
  enum class Outcome { done, deadline, capturing, unseen, no_memory, failed };

  Flip(Device& device, Gate& gate) : device_(device), gate_(gate) {}

  // Moves what of the plan there are frames for.
  [[nodiscard]] Outcome run(const Plan& plan, std::chrono::nanoseconds patience);

  // How long the gate was closed, and how much of that the drain took.
  [[nodiscard]] std::chrono::nanoseconds stall() const { return stall_; }
  [[nodiscard]] std::chrono::nanoseconds drained_in() const { return drained_in_; }

 private:
  struct Move {
    Region* region;
    std::size_t chunk;  // of the region
    Frame* from;
    Frame* to;
    // Of an eviction: the promotion whose host frame it goes into, once that has been vacated.
    Move* vacates = nullptr;
    bool switched = false;
    bool reused = false;  // of a promotion: an eviction went into its host frame
    bool lost = false;    // what is mapped there is unknown

    [[nodiscard]] DeviceAddress address() const { return region->address_of(chunk); }
  };
  using Moves = std::vector<Move>;

  void choose(const Plan& plan);
  [[nodiscard]] bool find_chunk(ChunkId id, PageState expected, Move& move) const;
  // Copies and switches one direction. False after a failure that forbids to go on.
  [[nodiscard]] bool move_all(Moves& moves, PageState during, PageState after);
  [[nodiscard]] bool copy(const Moves& moves);
  [[nodiscard]] bool switch_run(Moves& moves, std::size_t first, std::size_t count,
                                PageState during, PageState after);
  // Chunks that did not move go back to the state they came from; frames to their pools.
  void settle(Moves& moves, PageState during, PageState before);
  void account(const Moves& moves);
  // What a move leaves unmapped; nullptr when that is nothing.
  [[nodiscard]] static Frame* unused_frame(const Move& move);

  Device& device_;
  Gate& gate_;
  Moves promotions_, evictions_;
  bool copies_in_flight_ = false;
  std::chrono::nanoseconds stall_{0}, drained_in_{0};
};

}  // namespace vhbm
