// What is known of a region's past: what a tag is guessed from.
#pragma once

#include <cstdint>

#include "runtime/units.h"

namespace vhbm {

struct RegionHistory {
  Bytes size;
  Bytes filled_before_use;  // by copies from the host, before the first kernel named it
  Bytes filled_in_use;      // and after
  Bytes zeroed;             // by memsets
  std::uint64_t rounds_alive = 0, rounds_used = 0;         // of the pager; used: named by a launch
  std::uint64_t chunks_unchanged = 0, chunks_changed = 0;  // as hashes told, when they left HBM
  std::uint64_t of_equal_size = 0;                         // live regions, this one included
};

}  // namespace vhbm
