// First fit over an ordered map; a range given back merges with its neighbours.
#include "runtime/address_space.h"

#include <algorithm>

namespace vhbm {

AddressSpace::AddressSpace(DeviceAddress begin, Bytes size) : begin_(begin), size_(size) {
  if (size.value != 0) free_.emplace(begin.value, size.value);
}

std::optional<DeviceAddress> AddressSpace::carve(Bytes size, Bytes alignment) {
  size = size.rounded_up_to(base_page);
  alignment = std::max(alignment, base_page);
  if (size.value == 0 || size > size_) return std::nullopt;
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    const std::uint64_t range_end = range->first + range->second;
    const std::uint64_t begin = Bytes{range->first}.rounded_up_to(alignment).value;
    if (begin > range_end || range_end - begin < size.value) continue;
    take(range, begin, size);
    return DeviceAddress{begin};
  }
  return std::nullopt;
}

bool AddressSpace::carve_at(DeviceAddress begin, Bytes size) {
  size = size.rounded_up_to(base_page);
  auto range = free_.upper_bound(begin.value);
  if (size.value == 0 || range == free_.begin() || begin.value % base_page.value != 0) return false;
  --range;
  const std::uint64_t before = begin.value - range->first;
  if (before > range->second || range->second - before < size.value) return false;
  take(range, begin.value, size);
  return true;
}

void AddressSpace::take(Free::iterator range, std::uint64_t begin, Bytes size) {
  const std::uint64_t range_end = range->first + range->second;
  const std::uint64_t end = begin + size.value;
  if (begin == range->first) {
    free_.erase(range);
  } else {
    range->second = begin - range->first;
  }
  if (end != range_end) free_.emplace(end, range_end - end);
  carved_ += size;
}

void AddressSpace::give_back(DeviceAddress begin, Bytes size) {
  size = size.rounded_up_to(base_page);
  carved_ -= size;
  auto next = free_.lower_bound(begin.value);
  std::uint64_t first = begin.value, last = begin.value + size.value;
  if (next != free_.end() && next->first == last) {
    last += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == first) {
      previous->second = last - previous->first;
      return;
    }
  }
  free_.emplace_hint(next, first, last - first);
}

}  // namespace vhbm
