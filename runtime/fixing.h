// Turns the application's memory into one real handle for good: its bytes are gathered, its frames
// given back, and where it was mapped as a region the handle is mapped instead. It counts as native
// memory from then on, and is never paged again. Locking: takes the device's lock; the caller sees
// to it that no other call uses the memory meanwhile.
#pragma once

#include "runtime/allocator.h"
#include "runtime/device.h"
#include "runtime/gathering.h"
#include "runtime/status.h"

namespace vhbm {

class Fixing {
 public:
  Fixing(Device& device, Allocator& allocator, Gathering& gathering)
      : device_(device), allocator_(allocator), gathering_(gathering) {}

  // Requires memory that is not fixed. Failures as Gathering::gather's; all is as it was then.
  [[nodiscard]] Status fix(Memory& memory);
  // The driver has taken it back. The caller holds the device's lock.
  void forget(const Memory& memory);

 private:
  [[nodiscard]] Status fix_mapped(Memory& memory);
  [[nodiscard]] Status fix_unmapped(Memory& memory);
  // The caller holds the device's lock.
  void hand_over(Memory& memory, CUmemGenericAllocationHandle real);

  Device& device_;
  Allocator& allocator_;
  Gathering& gathering_;
};

}  // namespace vhbm
