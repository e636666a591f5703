#include "runtime/mappings.h"

namespace vhbm {

std::optional<Mapping> Mappings::find(DeviceAddress inside) const {
  const auto after = by_base_.upper_bound(inside);
  if (after == by_base_.begin()) return std::nullopt;
  const Mapping& mapping = std::prev(after)->second;
  if (!mapping.range.contains({inside, {1}})) return std::nullopt;
  return mapping;
}

bool Mappings::any_in(AddressRange range) const {
  if (find(range.base)) return true;
  const auto next = by_base_.lower_bound(range.base);
  return next != by_base_.end() && next->first - range.base < range.size;
}

std::vector<Mapping> Mappings::within(AddressRange range) const {
  std::vector<Mapping> found;
  for (auto next = by_base_.lower_bound(range.base);
       next != by_base_.end() && range.contains(next->second.range); ++next) {
    found.push_back(next->second);
  }
  return found;
}

std::optional<std::vector<Mapping>> Mappings::whole(AddressRange range) const {
  std::vector<Mapping> found = within(range);
  Bytes covered;
  for (const Mapping& mapping : found) {
    if (mapping.range.base != range.base + covered) return std::nullopt;
    covered += mapping.range.size;
  }
  if (found.empty() || covered != range.size) return std::nullopt;
  return found;
}

}  // namespace vhbm
