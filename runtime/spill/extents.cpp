#include "runtime/spill/extents.h"

#include <iterator>

namespace vhbm {

std::optional<Extent> Extents::take(Bytes size) {
  size = size.rounded_up_to(unit);
  for (auto hole = free_.begin(); hole != free_.end(); ++hole) {
    if (hole->second < size) continue;
    const Extent extent{hole->first, size};
    const Bytes rest = hole->second - size;
    free_.erase(hole);
    if (rest.value != 0) free_.emplace(extent.end(), rest);
    taken_ += size;
    return extent;
  }
  if (size > saturating_minus(limit_, end_)) return std::nullopt;
  const Extent extent{end_, size};
  end_ += size;
  taken_ += size;
  return extent;
}

void Extents::give_back(Extent extent) {
  taken_ -= extent.size;
  const auto next = free_.lower_bound(extent.offset);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == extent.offset) {
      extent = {before->first, before->second + extent.size};
      free_.erase(before);
    }
  }
  if (next != free_.end() && next->first == extent.end()) {
    extent.size += next->second;
    free_.erase(next);
  }
  if (extent.end() == end_) {
    end_ = extent.offset;
  } else {
    free_.emplace(extent.offset, extent.size);
  }
}

}  // namespace vhbm
