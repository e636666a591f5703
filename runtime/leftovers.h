// Native memory of ours that is not in use any more, and is yet to be unmapped and released: what
// the driver refused to take back, and what copies that were given up may still be landing in.
// Invariant: addresses and limits get theirs back only when the driver has done its part. Locking:
// the device's lock.
#pragma once

#include <cuda.h>

#include <vector>

#include "runtime/address_space.h"
#include "runtime/frames.h"
#include "runtime/mapper.h"
#include "runtime/units.h"

namespace vhbm {

struct Leftover {
  DeviceAddress address;  // one mapping of it, carved from the window; 0: there is none
  Bytes size;             // counted as native memory while there is a handle
  CUmemGenericAllocationHandle handle = 0;  // 0: still in use elsewhere
};

class Leftovers {
 public:
  explicit Leftovers(const Driver& driver) : driver_(driver) {}

  // Takes back what can be now, and keeps the rest.
  void put_away(Leftover leftover, const Mapper& mapper, Frames& frames, AddressSpace& space);
  // No driver call until the next retry(): copies into it may still be in flight.
  void keep(Leftover leftover) { kept_.push_back(leftover); }
  void retry(const Mapper& mapper, Frames& frames, AddressSpace& space);
  [[nodiscard]] bool empty() const { return kept_.empty(); }

 private:
  [[nodiscard]] bool take_back(Leftover& leftover, const Mapper& mapper, Frames& frames,
                               AddressSpace& space) const;

  const Driver& driver_;
  std::vector<Leftover> kept_;
};

}  // namespace vhbm
