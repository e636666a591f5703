#include "runtime/reservations.h"

#include <mutex>

namespace vhbm {

void Reservations::add(AddressRange range) {
  std::unique_lock lock(mutex_);
  by_base_.emplace(range.base, range.size);
}

std::optional<AddressRange> Reservations::find(DeviceAddress inside) const {
  std::shared_lock lock(mutex_);
  const auto after = by_base_.upper_bound(inside);
  if (after == by_base_.begin()) return std::nullopt;
  const AddressRange range{std::prev(after)->first, std::prev(after)->second};
  if (!range.contains({inside, {1}})) return std::nullopt;
  return range;
}

bool Reservations::remove(AddressRange range) {
  std::unique_lock lock(mutex_);
  const auto found = by_base_.find(range.base);
  if (found == by_base_.end() || found->second != range.size) return false;
  by_base_.erase(found);
  return true;
}

bool Reservations::empty() const {
  std::shared_lock lock(mutex_);
  return by_base_.empty();
}

}  // namespace vhbm
