// Index 0 is never given out: it is the page table's "no region".
#include "runtime/regions.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <mutex>

namespace vhbm {

Regions::~Regions() {
  if (heat_ != nullptr) munmap(heat_, most_regions * sizeof(Heat));
}

Status Regions::reserve() {
  static_assert(most_regions - 1 <= PageTable::max_region);
  void* memory = mmap(nullptr, most_regions * sizeof(Heat), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return {Errc::system_error, std::string("no memory for regions: ") + std::strerror(errno)};
  }
  heat_ = static_cast<Heat*>(memory);
  by_index_.resize(1);
  return {};
}

Region* Regions::add(std::unique_ptr<Region>& region) {
  std::unique_lock lock(mutex_);
  std::uint32_t index = 0;
  if (!free_indices_.empty()) {
    index = free_indices_.back();
    free_indices_.pop_back();
  } else if (by_index_.size() < most_regions) {
    index = static_cast<std::uint32_t>(by_index_.size());
    by_index_.emplace_back();
  } else {
    return nullptr;
  }
  region->index = index;
  begin_life(*region);
  by_index_[index] = std::move(region);
  return by_index_[index].get();
}

void Regions::begin_life(Region& region) {
  Heat& heat = heat_[region.index];
  region.view.id = {next_id_++};
  named(region.index, 0);
  set_host_mapped(region.index, {});
  set_kv_span(region.index, 0);
  heat.filled_before_use = heat.filled_in_use = 0;
  heat.zeroed = heat.copied_into = 0;
}

void Regions::renew(Region* region) {
  std::unique_lock lock(mutex_);
  region->written_when_quiet = 0;
  region->rounds_alive = region->rounds_used = 0;
  region->chunks_unchanged = region->chunks_changed = 0;
  begin_life(*region);
}

RegionHistory Regions::history(const Region& region) const {
  const Heat& heat = heat_[region.index];
  RegionHistory history;
  history.size = region.view.size;
  history.filled_before_use = {heat.filled_before_use.load(std::memory_order_relaxed)};
  history.filled_in_use = {heat.filled_in_use.load(std::memory_order_relaxed)};
  history.zeroed = {heat.zeroed.load(std::memory_order_relaxed)};
  history.rounds_alive = region.rounds_alive;
  history.rounds_used = region.rounds_used;
  history.chunks_unchanged = region.chunks_unchanged;
  history.chunks_changed = region.chunks_changed;
  return history;
}

std::uint64_t Regions::written(std::uint32_t index) const noexcept {
  const Heat& heat = heat_[index];
  std::uint64_t sum = 0;
  for (const auto* part :
       {&heat.filled_before_use, &heat.filled_in_use, &heat.zeroed, &heat.copied_into}) {
    sum += part->load(std::memory_order_relaxed);
  }
  return sum;
}

void Regions::quiet() noexcept {
  std::shared_lock lock(mutex_);
  for (const auto& [base, region] : by_base_) region->written_when_quiet = written(region->index);
}

Bytes Regions::live_bytes() const {
  Bytes sum;
  for (const auto& bytes : live_bytes_) sum += {bytes.load(std::memory_order_relaxed)};
  return sum;
}

void Regions::publish(Region* region) {
  std::unique_lock lock(mutex_);
  by_base_.emplace(region->view.base, region);
  live_bytes_[static_cast<std::size_t>(region->view.kind)] += region->view.size.value;
}

Region* Regions::withdraw_locked(std::map<DeviceAddress, Region*>::iterator found) {
  Region* region = found->second;
  by_base_.erase(found);
  live_bytes_[static_cast<std::size_t>(region->view.kind)] -= region->view.size.value;
  return region;
}

Region* Regions::withdraw(DeviceAddress base) {
  std::unique_lock lock(mutex_);
  const auto found = by_base_.find(base);
  if (found == by_base_.end() || found->second->memory != nullptr) return nullptr;
  return withdraw_locked(found);
}

void Regions::withdraw(const Region& region) {
  std::unique_lock lock(mutex_);
  (void)withdraw_locked(by_base_.find(region.view.base));
}

void Regions::set_access(Region& region, AccessList access) {
  std::unique_lock lock(mutex_);
  region.view.memory->access = allowed_to(region.view.device, access);
  region.access = std::move(access);
}

std::vector<Region*> Regions::withdraw_all(CUcontext context) {
  std::unique_lock lock(mutex_);
  std::vector<Region*> withdrawn;
  for (auto next = by_base_.begin(); next != by_base_.end();) {
    const auto found = next++;
    if (found->second->view.context == context) withdrawn.push_back(withdraw_locked(found));
  }
  return withdrawn;
}

void Regions::hand_over(CUcontext from, CUcontext to) {
  std::unique_lock lock(mutex_);
  for (const auto& region : by_index_) {
    if (region != nullptr && region->view.context == from) region->view.context = to;
  }
}

void Regions::erase(Region* region) {
  std::unique_lock lock(mutex_);
  const std::uint32_t index = region->index;
  by_index_[index].reset();
  free_indices_.push_back(index);
}

Region* Regions::lookup(DeviceAddress inside) const {
  const auto after = by_base_.upper_bound(inside);
  if (after == by_base_.begin()) return nullptr;
  Region* region = std::prev(after)->second;
  return inside - region->view.base < region->view.size ? region : nullptr;
}

Region* Regions::region_at(DeviceAddress inside) const {
  std::shared_lock lock(mutex_);
  return lookup(inside);
}

std::optional<RegionView> Regions::find(DeviceAddress inside) const {
  std::shared_lock lock(mutex_);
  const Region* region = lookup(inside);
  if (region == nullptr) return std::nullopt;
  return region->view;
}

bool Regions::set_synchronous(DeviceAddress inside, bool synchronous) {
  std::unique_lock lock(mutex_);
  Region* region = lookup(inside);
  if (region != nullptr) region->view.synchronous = synchronous;
  return region != nullptr;
}

std::vector<Region*> Regions::live() const {
  std::shared_lock lock(mutex_);
  std::vector<Region*> regions;
  regions.reserve(by_base_.size());
  for (const auto& [base, region] : by_base_) regions.push_back(region);
  return regions;
}

std::size_t Regions::count() const {
  std::shared_lock lock(mutex_);
  return by_base_.size();
}

}  // namespace vhbm
