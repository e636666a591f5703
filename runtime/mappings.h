// What the application mapped itself: memory of its own as a region, or a driver's handle. Those
// outside the window are here only when the memory is ours. Invariant: mappings are disjoint.
// Locking: the device's lock.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "runtime/memories.h"
#include "runtime/units.h"

namespace vhbm {

struct Mapping {
  AddressRange range;
  // What is mapped, unless it is a handle of the driver's that is none of ours. It is mapped as a
  // region unless it is fixed.
  Memory* memory = nullptr;

  [[nodiscard]] Region* region() const { return memory == nullptr ? nullptr : memory->region; }
};

class Mappings {
 public:
  void add(const Mapping& mapping) { by_base_.insert_or_assign(mapping.range.base, mapping); }
  void remove(DeviceAddress base) { by_base_.erase(base); }
  [[nodiscard]] std::optional<Mapping> find(DeviceAddress inside) const;
  // Whether any of the range is mapped.
  [[nodiscard]] bool any_in(AddressRange range) const;
  // Those that lie within the range.
  [[nodiscard]] std::vector<Mapping> within(AddressRange range) const;
  // The mappings that the range consists of; nothing when some of it is not mapped, or it cuts one.
  [[nodiscard]] std::optional<std::vector<Mapping>> whole(AddressRange range) const;

 private:
  std::map<DeviceAddress, Mapping> by_base_;
};

}  // namespace vhbm
