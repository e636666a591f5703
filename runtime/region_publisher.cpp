// The chunks' states and last uses are read from the page table, one entry a chunk.
#include "runtime/region_publisher.h"

#include <algorithm>

namespace vhbm {
namespace {

constexpr std::chrono::milliseconds interval{250};

}  // namespace

void RegionPublisher::round() {
  const auto now = Clock::now();
  if (!device_.region_table.is_shared() || now < next_) return;
  next_ = now + interval;
  rows_.clear();
  {
    std::lock_guard lock(device_.lock);
    for (const Region* region : device_.regions.live()) rows_.push_back(describe(*region));
  }
  device_.region_table.publish(rows_);
}

RegionRow RegionPublisher::describe(const Region& region) const {
  RegionRow row{};
  row.id = region.view.id.value;
  row.base = region.view.base.value;
  row.size = region.view.size.value;
  row.host_mapped = device_.regions.host_mapped(region.index).value;
  row.resident = saturating_minus(region.mapped_size(), {row.host_mapped}).value;
  Epoch used = device_.regions.last_use(region.index);
  for (std::size_t i = 0; i < region.frames.size(); ++i) {
    const ChunkId page = device_.page_of(region.address_of(i));
    used = std::max(used, device_.pages.last_use(page));
  }
  row.idle_ns = age_of(used);
  row.tag = region.tag.tag;
  row.confidence = region.tag.confidence;
  row.held = region.held ? 1 : 0;
  row.set_reason(region.tag.reason);
  return row;
}

std::uint64_t RegionPublisher::age_of(Epoch used) const {
  if (used == 0) return RegionRow::never;
  const Epoch now = device_.now.load(std::memory_order_relaxed);
  const auto rounds = static_cast<double>(std::max<Epoch>(now - first_, 1));
  const double mean = std::chrono::duration<double, std::nano>(Clock::now() - begin_) /
                      std::chrono::duration<double, std::nano>(rounds);
  return static_cast<std::uint64_t>(mean * static_cast<double>(now - used));
}

}  // namespace vhbm
