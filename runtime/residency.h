// The values that policies see and answer with: no pager, no driver, no clock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/units.h"

namespace vhbm {

// One chunk that may move.
struct Candidate {
  ChunkId chunk;
  Bytes size;
  std::uint64_t last_use = 0;  // larger is later; 0 is never
  bool resident = false;       // in HBM; otherwise host-mapped
};

// What a plan is made from.
struct Situation {
  std::span<const Candidate> candidates;
  Bytes free_hbm;         // may be filled without evicting
  Bytes must_leave;       // has to leave HBM whatever is promoted
  Bytes most_promotions;  // bounds of one flip, in each direction
  Bytes most_evictions;
};

// Both in order of urgency: what does not fit is cut off the end. Never makes HBM fuller than it
// was by more than free_hbm.
struct Plan {
  std::vector<ChunkId> promote;
  std::vector<ChunkId> evict;

  [[nodiscard]] bool empty() const { return promote.empty() && evict.empty(); }
};

using Planner = Plan (*)(const Situation&);

}  // namespace vhbm
