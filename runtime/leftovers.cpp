// What was done stays done: a retry goes on where the last one was refused.
#include "runtime/leftovers.h"

namespace vhbm {

void Leftovers::put_away(Leftover leftover, const Mapper& mapper, Frames& frames,
                         AddressSpace& space) {
  if (!take_back(leftover, mapper, frames, space)) kept_.push_back(leftover);
}

void Leftovers::retry(const Mapper& mapper, Frames& frames, AddressSpace& space) {
  std::erase_if(kept_, [&](Leftover& left) { return take_back(left, mapper, frames, space); });
}

bool Leftovers::take_back(Leftover& leftover, const Mapper& mapper, Frames& frames,
                          AddressSpace& space) const {
  if (leftover.address.value != 0) {
    if (!mapper.unmap(leftover.address, leftover.size).ok()) return false;
    space.give_back(leftover.address, leftover.size);
    leftover.address = {};
  }
  if (leftover.handle == 0) return true;
  if (driver_.cuMemRelease(leftover.handle) != CUDA_SUCCESS) return false;
  frames.native_freed(leftover.size);
  return true;
}

}  // namespace vhbm
