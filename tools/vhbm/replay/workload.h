// What a program used, in order, apart from where its memory was: what can be played again. Made
// from a trace, or by a test. Invariant: a use names a region that is there. Locking: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "runtime/tag.h"
#include "runtime/units.h"

namespace vhbm::replay {

// One life of a region.
struct Life {
  std::uint32_t index = 0;        // as the pager calls it; another life may have it later
  std::uint32_t first_chunk = 0;  // in base pages
  std::uint32_t chunks = 0;
  Bytes chunk_size;
  std::vector<std::uint64_t> runs;  // host-mapped, in HBM, ...: when it was first seen
  Tag tag = Tag::other;             // at first
  bool held = false, whole = false;

  [[nodiscard]] Bytes bytes() const { return chunk_size * chunks; }
  [[nodiscard]] std::uint32_t pages_per_chunk() const {
    return static_cast<std::uint32_t>(chunk_size.value / mib(2).value);
  }
};

// A region is thought of otherwise from now on.
struct Change {
  std::uint32_t life = 0;
  Tag tag = Tag::other;
  bool held = false, whole = false;
};

struct Bounds {
  Bytes hbm_limit, host_limit, native;
};

// One thing after another. `what`: the life of `use`, `born` and `gone`; a row of `changes` or of
// `bounds`.
struct Event {
  enum class Kind : std::uint8_t { use, born, gone, change, bound, lost };
  Kind kind;
  std::uint8_t lane = 0;
  std::uint32_t what = 0;
};

struct Workload {
  std::vector<Life> lives;
  std::vector<Change> changes;
  std::vector<Bounds> bounds;
  std::vector<Event> events;
  Bounds first;  // when it began; of `native` the most that there was
  Bytes chunk_size = mib(2);
  std::uint64_t unknown_uses = 0;  // of regions that nobody told of: left out

  void use(std::uint32_t life, std::uint8_t lane = 1) {
    events.push_back({Event::Kind::use, lane, life});
  }
  [[nodiscard]] std::uint64_t uses() const;
  // All that regions take when they take most, without those in one piece.
  [[nodiscard]] Bytes peak() const;
};

}  // namespace vhbm::replay
