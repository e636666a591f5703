// Plays a workload as the pager would have run it under a policy and a limit: a discrete-event
// model. A use takes as long as the slower of reading what is resident from HBM and the rest over
// the link; the pager's rounds come while uses run, learn from them, ask the policy and flip, by
// the same arithmetic as the real one (runtime/pacing.h). Invariant: the same workload and
// conditions give the same outcome. Locking: none.
#pragma once

#include <chrono>
#include <cstdint>

#include "policies/policy.h"
#include "replay/workload.h"
#include "runtime/options.h"

namespace vhbm::replay {

// Bytes a second.
struct Rates {
  double hbm = 0, to_hbm = 0, to_host = 0;
};

struct Conditions {
  const Policy* policy = nullptr;
  Bounds bounds;
  Options options;
  Rates rates;
  // Chunks begin where they were when they were first seen, and bounds change as they did; else
  // what comes first gets HBM first, and the bounds stay.
  bool as_recorded = false;
};

struct Played {
  std::uint64_t uses = 0, chunk_uses = 0, hits = 0;  // of chunks: those that were resident
  Bytes used;                                        // by all uses
  Bytes in_place;                                    // of it, read over the link
  Bytes moved_in, moved_out;
  Bytes copied_out;          // of what moved out: the rest had a copy
  std::uint64_t misses = 0;  // chunks that crossed the link: used in place, or moved in
  std::uint64_t flips = 0, given_up = 0, guard_verdicts = 0;
  std::uint64_t seen = 0, foreseen = 0;
  std::chrono::nanoseconds time{0}, stall{0};
  std::chrono::nanoseconds hbm_time{0};  // with all in HBM

  [[nodiscard]] Bytes over_link() const { return in_place + moved_in; }
  bool operator==(const Played&) const = default;
};

[[nodiscard]] Played play(const Workload& workload, const Conditions& conditions);

// Room for chunks that the limit leaves beside what is native.
[[nodiscard]] Bytes room_in(const Bounds& bounds, Bytes chunk_size);

}  // namespace vhbm::replay
