// The allocations of the application, found by base address or by the index that the page table
// keeps. Invariant: an index names one region until erase(); heat may be written for any index at
// any time. Locking: a reader-writer lock of its own for the directory; a region's frames belong to
// the pager's lock; heat is atomic.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "runtime/frames.h"
#include "runtime/page_table.h"
#include "runtime/region_view.h"
#include "runtime/status.h"

namespace vhbm {

struct Region {
  RegionView view;
  std::uint32_t index = PageTable::no_region;
  Bytes chunk_size;
  std::vector<Frame*> frames;  // what each chunk is mapped to

  [[nodiscard]] Bytes mapped_size() const { return chunk_size * frames.size(); }
  [[nodiscard]] DeviceAddress address_of(std::size_t chunk) const {
    return view.base + chunk_size * chunk;
  }
};

class Regions {
 public:
  Regions() = default;
  ~Regions();
  Regions(const Regions&) = delete;
  Regions& operator=(const Regions&) = delete;

  // Makes room for the heat of every region there can be; memory is taken as it is written.
  [[nodiscard]] Status reserve();

  // Gives the region an index and an identity, but does not let it be found yet.
  //   nullptr  there are as many regions as there can be; `region` is left as it was
  [[nodiscard]] Region* add(std::unique_ptr<Region>& region);
  void publish(Region* region);
  // The region at exactly `base`, which from now on is not found any more; nullptr when there is
  // none.
  [[nodiscard]] Region* withdraw(DeviceAddress base);
  // All of one context, as above.
  [[nodiscard]] std::vector<Region*> withdraw_all(CUcontext context);
  void erase(Region* region);

  // The live region that contains an address. The pointer is good under the pager's lock.
  [[nodiscard]] Region* region_at(DeviceAddress inside) const;
  [[nodiscard]] std::optional<RegionView> find(DeviceAddress inside) const;
  // Those that can be found; they stay alive as long as the pager's lock is held.
  [[nodiscard]] std::vector<Region*> live() const;
  [[nodiscard]] Bytes live_bytes() const { return {live_bytes_.load(std::memory_order_relaxed)}; }
  [[nodiscard]] std::size_t count() const;

  // Hot. Work in epoch `now` may touch any byte of the region.
  void named(std::uint32_t index, Epoch now) noexcept {
    std::atomic<Epoch>& last_use = heat_[index].last_use;
    // Threads that launch share these lines: one that holds the answer already is only read.
    if (last_use.load(std::memory_order_relaxed) != now) {
      last_use.store(now, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] Epoch last_use(std::uint32_t index) const noexcept {
    return heat_[index].last_use.load(std::memory_order_relaxed);
  }
  // Hot. How much of the region is not in HBM.
  [[nodiscard]] Bytes host_mapped(std::uint32_t index) const noexcept {
    return {heat_[index].host_mapped.load(std::memory_order_relaxed)};
  }
  void set_host_mapped(std::uint32_t index, Bytes bytes) noexcept {
    heat_[index].host_mapped.store(bytes.value, std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t most_regions = 1 << 20;
  struct Heat {
    std::atomic<std::uint64_t> host_mapped;
    std::atomic<Epoch> last_use;
  };

  [[nodiscard]] Region* lookup(DeviceAddress inside) const;
  Region* withdraw_locked(std::map<DeviceAddress, Region*>::iterator found);

  mutable std::shared_mutex mutex_;
  std::vector<std::unique_ptr<Region>> by_index_;
  std::vector<std::uint32_t> free_indices_;
  std::map<DeviceAddress, Region*> by_base_;
  std::uint64_t next_id_ = 1;
  std::atomic<std::uint64_t> live_bytes_{0};
  Heat* heat_ = nullptr;
};

}  // namespace vhbm
