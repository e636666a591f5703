// The values that policies see and answer with: no pager, no driver, no clock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/claim.h"
#include "runtime/region_history.h"
#include "runtime/tag.h"
#include "runtime/units.h"

namespace vhbm {

// When work is expected to use something: so many uses from now, by the thread that will; next, and
// the time after that.
struct Expectation {
  static constexpr std::uint64_t never = UINT64_MAX;

  std::uint64_t next = never, after = never;
};

// One chunk that may move.
struct Candidate {
  ChunkId chunk;
  Bytes size;
  std::uint64_t last_use = 0;  // larger is later; 0 is never
  bool resident = false;       // in HBM; otherwise host-mapped
  bool held = false;           // may not leave HBM
  Tag tag = Tag::other;
  bool has_copy = false;     // a frame of the other tier holds what were its bytes once
  std::uint32_t region = 0;  // which one it is part of
  Expectation expected = {};
  std::uint64_t frequency = 0;  // of its region's uses, the older the less; on no scale
};

// What a policy keeps in mind from one plan to the next.
struct PolicyMemory {
  ChunkId hand;             // where a sweep over the chunks goes on
  std::uint64_t sweep = 0;  // when it began
  bool draining = false;    // HBM was above its high watermark and is not below the low one yet
};

// How full of chunks HBM may get.
struct Watermarks {
  Bytes high{UINT64_MAX}, low{UINT64_MAX};
};

// What a plan is made from.
struct Situation {
  std::span<const Candidate> candidates;
  Bytes free_hbm;         // may be filled without evicting
  Bytes must_leave;       // has to leave HBM whatever is promoted
  Bytes most_promotions;  // bounds of one flip, in each direction
  Bytes most_evictions;
  Bytes most_at_once;     // bound of what may come behind one closing of the gate, where that pays
  std::uint64_t now = 0;  // on the scale of last_use
  Watermarks watermarks;
  PolicyMemory memory;  // as the last plan left it
};

// Both in order of urgency: what does not fit is cut off the end. Never makes HBM fuller than it
// was by more than free_hbm.
struct Plan {
  std::vector<ChunkId> promote;
  std::vector<ChunkId> evict;
  PolicyMemory memory{};
  bool at_once = false;  // more than a flip moves: several, behind one closing of the gate

  [[nodiscard]] bool empty() const { return promote.empty() && evict.empty(); }
};

// What a process needs when it wakes: of the chunks that are host-mapped, those that its first work
// waits for, in order. The rest comes while it runs.
struct Waking {
  std::span<const Candidate> candidates;
  std::uint64_t slept_at = 0;  // on the scale of last_use: what is later was asked for while asleep
  std::uint64_t recent = 0;    // so long before its last use a process is taken to be in one step
};

using WakeOrder = std::vector<ChunkId> (*)(const Waking&);
using Planner = Plan (*)(const Situation&);
using Tagger = TagGuess (*)(const RegionHistory&);

// The decisions that the pager asks for. Without a planner nothing moves, without a tagger no
// region gets a tag by evidence, without an order for waking nothing is waited for, and without a
// way to share it out a GPU is not shared.
struct Decisions {
  Planner plan = nullptr;
  Tagger guess_tag = nullptr;
  WakeOrder wake_order = nullptr;
  ShareOut share_out = nullptr;
};

}  // namespace vhbm
