// One chunk's way to another frame, in a flip.
#pragma once

#include <cstddef>

#include "runtime/frames.h"
#include "runtime/regions.h"

namespace vhbm {

struct Move {
  Region* region;
  std::size_t chunk;  // of the region
  Frame* from;
  Frame* to;
  // Of an eviction: the promotion whose host frame it goes into, once that has been vacated.
  Move* vacates = nullptr;
  // Of an eviction: `to` holds a clean copy, with this hash. Of a promotion: what arrived.
  bool has_copy = false;
  Hash hash;
  bool ahead = false;  // of a promotion: `to` holds it on a promise, which is checked afterwards
  bool switched = false;
  bool vacated = false;  // of a promotion: an eviction wants its host frame
  bool reused = false;   // of a promotion: an eviction went into its host frame
  bool lost = false;     // what is mapped there is unknown

  [[nodiscard]] DeviceAddress address() const { return region->address_of(chunk); }
};

}  // namespace vhbm
