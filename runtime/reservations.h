// The addresses that the application reserved and that were carved from the window. Invariant:
// ranges are disjoint. Locking: one of its own, so that queries never wait for a flip.
#pragma once

#include <map>
#include <optional>
#include <shared_mutex>

#include "runtime/units.h"

namespace vhbm {

class Reservations {
 public:
  void add(AddressRange range);
  // The one that contains an address.
  [[nodiscard]] std::optional<AddressRange> find(DeviceAddress inside) const;
  // False when there is none of exactly that base and size.
  [[nodiscard]] bool remove(AddressRange range);
  [[nodiscard]] bool empty() const;

 private:
  mutable std::shared_mutex mutex_;
  std::map<DeviceAddress, Bytes> by_base_;
};

}  // namespace vhbm
