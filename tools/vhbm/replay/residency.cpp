#include "replay/residency.h"

#include <algorithm>
#include <variant>

namespace vhbm::replay {

void Residency::add(const Region& region) {
  const auto tag = static_cast<std::size_t>(region.tag);
  resident_[tag] += region.chunk_size * region.count;
  host_mapped_[tag] += region.chunk_size * (region.resident.size() - region.count);
}

void Residency::take_off(const Region& region) {
  const auto tag = static_cast<std::size_t>(region.tag);
  resident_[tag] -= region.chunk_size * region.count;
  host_mapped_[tag] -= region.chunk_size * (region.resident.size() - region.count);
}

void Residency::come(const recording::region& told) {
  go(told.index);
  Region region{told.id,
                told.index,
                told.first_chunk,
                {told.size},
                {told.chunk_size},
                static_cast<Tag>(told.tag),
                {},
                0};
  bool resident = told.whole != 0;
  for (const std::uint64_t run : told.runs) {
    region.resident.insert(region.resident.end(), run, resident);
    if (resident) region.count += run;
    resident = told.whole != 0 || !resident;
  }
  add(region);
  by_first_[told.first_chunk] = told.index;
  regions_[told.index] = std::move(region);
}

void Residency::go(std::uint64_t index) {
  const auto found = regions_.find(index);
  if (found == regions_.end()) return;
  take_off(found->second);
  const auto first = by_first_.find(found->second.first_chunk);
  if (first != by_first_.end() && first->second == index) by_first_.erase(first);
  regions_.erase(found);
}

void Residency::move(const std::vector<std::uint64_t>& pages, bool to_hbm) {
  for (const std::uint64_t page : pages) {
    auto after = by_first_.upper_bound(page);
    if (after == by_first_.begin()) continue;
    Region& region = regions_.at(std::prev(after)->second);
    const std::uint64_t chunk =
        (page - region.first_chunk) * mib(2).value / region.chunk_size.value;
    if (chunk >= region.resident.size() || region.resident[chunk] == to_hbm) continue;
    take_off(region);
    region.resident[chunk] = to_hbm;
    region.count += to_hbm ? 1 : std::uint64_t{} - 1;
    add(region);
  }
}

bool Residency::take(const recording::Record& record) {
  if (const auto* told = std::get_if<recording::region>(&record.content)) {
    come(*told);
  } else if (const auto* gone = std::get_if<recording::region_gone>(&record.content)) {
    go(gone->index);
  } else if (const auto* changed = std::get_if<recording::region_changed>(&record.content)) {
    const auto found = regions_.find(changed->index);
    if (found == regions_.end()) return false;
    Region& region = found->second;
    take_off(region);
    region.tag = static_cast<Tag>(changed->tag);
    if (changed->whole != 0) {
      std::fill(region.resident.begin(), region.resident.end(), true);
      region.count = region.resident.size();
    }
    add(region);
  } else if (const auto* flip = std::get_if<recording::flip>(&record.content)) {
    move(flip->arrived, true);
    move(flip->left, false);
  } else {
    return false;
  }
  return true;
}

}  // namespace vhbm::replay
