// Belady's bound: what has to cross the link however cleverly chunks are kept in HBM, with the
// future known. MIN with bypass: what is used again last makes way, and what is used again later
// than all that is there is read past HBM. A miss costs the chunk's bytes over the link once, moved
// or read in place. Where a chunk is when it is first seen is free of choice, so that no policy can
// do with less. Exact where all chunks are of one size. Locking: none.
#pragma once

#include <cstdint>

#include "replay/workload.h"
#include "runtime/units.h"

namespace vhbm::replay {

struct Least {
  std::uint64_t misses = 0;  // of chunks
  Bytes over_link;
};

// With room for so many bytes of chunks.
[[nodiscard]] Least belady(const Workload& workload, Bytes room);

// What the order of use alone makes of it, if moving were free and needed no time: every chunk
// comes as it is used, and what was used longest ago makes way.
[[nodiscard]] Least lru_on_demand(const Workload& workload, Bytes room);

}  // namespace vhbm::replay
