// The chunks' states and last uses are read from the page table, one entry a chunk.
#include "runtime/region_publisher.h"

#include <algorithm>

#include "runtime/log.h"

namespace vhbm {
namespace {

constexpr std::chrono::milliseconds interval{250};

std::size_t chunks_in(Bytes group, const Region& region) {
  return std::max<std::size_t>(group.value / region.chunk_size.value, 1);
}

std::size_t groups_of(const Region& region, Bytes group) {
  const std::size_t chunks = chunks_in(group, region);
  return (region.frames.size() + chunks - 1) / chunks;
}

bool is_in_hbm(PageState state) {
  return state == PageState::resident || state == PageState::leaving || state == PageState::held;
}

}  // namespace

void RegionPublisher::round() {
  const auto now = Clock::now();
  if (!device_.region_table.is_shared() || now < next_) return;
  next_ = now + interval;
  rows_.clear();
  groups_.clear();
  working_set_ = {};
  kv_ = {};
  std::string advice;
  {
    std::lock_guard lock(device_.lock);
    const std::vector<Region*> live = device_.regions.live();
    const Bytes group = group_size(live);
    for (const Region* region : live) rows_.push_back(describe(*region, group));
    if (device_.kv != nullptr) advice = publish_kv();
  }
  device_.stats.set(Stat::working_set_bytes, working_set_.value);
  device_.region_table.publish(rows_, groups_, advice);
}

std::string RegionPublisher::publish_kv() {
  Stats& stats = device_.stats;
  stats.set(Stat::kv_bytes, kv_.size.value);
  stats.set(Stat::kv_used_bytes, kv_.used.value);
  stats.set(Stat::kv_touched_bytes, kv_.touched.value);
  stats.set(Stat::kv_resident_bytes, kv_.resident.value);
  stats.set(Stat::kv_resident_used_bytes, kv_.resident_used.value);
  // All that HBM has beside what is no KV.
  const Bytes others = saturating_minus({stats.get(Stat::resident_bytes)}, kv_.resident) +
                       Bytes{stats.get(Stat::native_bytes)};
  const Bytes room = saturating_minus({stats.get(Stat::hbm_limit)}, others);
  const bool is_scattered = scattered(kv_, room);
  stats.set(Stat::kv_scattered, is_scattered ? 1 : 0);
  if (!is_scattered) return {};
  const std::string cure = device_.kv->cure();
  if (!told_scattered_ && !cure.empty()) {
    told_scattered_ = true;
    log_warn(
        "the KV in use is {} MiB, but lies in {} MiB of chunks, which do not fit into HBM: moving "
        "them is of little use. What cures it, {}",
        kv_.used.value >> 20, kv_.touched.value >> 20, cure);
  }
  return cure;
}

Bytes RegionPublisher::group_size(const std::vector<Region*>& regions) const {
  Bytes group = base_page;
  for (;; group = group * 2) {
    std::size_t groups = 0;
    bool larger_helps = false;
    for (const Region* region : regions) {
      const std::size_t more = groups_of(*region, group);
      groups += more;
      larger_helps = larger_helps || more > 1;
    }
    if (groups <= RegionsFile::most_groups || !larger_helps) return group;
  }
}

RegionRow RegionPublisher::describe(const Region& region, Bytes group) {
  RegionRow row{};
  const std::size_t chunks_a_group = chunks_in(group, region);
  const std::size_t groups = groups_of(region, group);
  if (groups_.size() + groups <= RegionsFile::most_groups) {
    row.first_group = static_cast<std::uint32_t>(groups_.size());
    row.groups = static_cast<std::uint32_t>(groups);
  }
  std::size_t resident = 0, looked_at = 0;  // of the group
  row.id = region.view.id.value;
  row.base = region.view.base.value;
  row.size = region.view.size.value;
  row.host_mapped = device_.regions.host_mapped(region.index).value;
  row.resident = saturating_minus(region.mapped_size(), {row.host_mapped}).value;
  const Epoch named = device_.regions.last_use(region.index), recent = this->recent();
  Epoch used = named;
  const auto in_use_since = device_.kv == nullptr ? std::nullopt : device_.kv->in_use_since(region);
  row.kv_used = row.kv_touched = row.kv_resident_used = RegionRow::unknown;
  if (in_use_since) {
    const KvUse use = *device_.kv->use_of(region);
    row.kv_used = use.used.value;
    row.kv_touched = use.touched.value;
    row.kv_resident_used = use.resident_used.value;
    kv_ += use;
  }
  for (std::size_t i = 0; i < region.frames.size(); ++i) {
    const ChunkId page = device_.page_of(region.address_of(i));
    const Epoch own = device_.pages.last_use(page);
    const Epoch touched = in_use_since ? own : std::max(named, own);
    used = std::max(used, touched);
    if (touched >= recent) working_set_ += region.chunk_size;
    if (row.groups == 0) continue;
    resident += is_in_hbm(device_.pages.state(page)) ? 1 : 0;
    if (++looked_at == chunks_a_group || i + 1 == region.frames.size()) {
      groups_.push_back(share_of(resident, looked_at));
      resident = looked_at = 0;
    }
  }
  row.idle_ns = age_of(used);
  row.tag = region.tag.tag;
  row.confidence = region.tag.confidence;
  row.held = region.held ? 1 : 0;
  row.set_reason(region.tag.reason);
  return row;
}

double RegionPublisher::mean_round() const {
  const Epoch now = device_.now.load(std::memory_order_relaxed);
  const auto rounds = static_cast<double>(std::max<Epoch>(now - first_, 1));
  return std::chrono::duration<double, std::nano>(Clock::now() - begin_).count() / rounds;
}

std::uint64_t RegionPublisher::age_of(Epoch used) const {
  if (used == 0) return RegionRow::never;
  const Epoch now = device_.now.load(std::memory_order_relaxed);
  return static_cast<std::uint64_t>(mean_round() * static_cast<double>(now - used));
}

Epoch RegionPublisher::recent() const {
  const Epoch now = device_.now.load(std::memory_order_relaxed);
  const double rounds = 1e9 / std::max(mean_round(), 1.0);
  return rounds + 1 >= static_cast<double>(now) ? 1 : now - static_cast<Epoch>(rounds);
}

}  // namespace vhbm
