// The allocations of the application, found by base address or by the index that the page table
// keeps. Invariant: an index names one region until erase(); heat may be written for any index at
// any time. Locking: a reader-writer lock of its own for the directory; a region's frames belong to
// the pager's lock; heat is atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "runtime/frames.h"
#include "runtime/kernels/chunk_hash.h"
#include "runtime/page_table.h"
#include "runtime/region_history.h"
#include "runtime/region_view.h"
#include "runtime/status.h"
#include "runtime/tag.h"

namespace vhbm {

// What a copy or a memset does to a range: reads it, or fills it with the host's or with constant
// bytes, or with bytes of the device.
enum class Access { read, filled, zeroed, written };

// A frame of the other tier than a chunk is in, with the bytes that the chunk had when they were
// hashed. Whether the chunk still has them only another hash can tell.
struct CleanCopy {
  Frame* frame = nullptr;
  Hash hash;
};

struct Memory;

struct Region {
  RegionView view;
  Memory* memory = nullptr;  // of the application's own, when it was mapped by the application
  // Who may do what there, as the application set it; nothing: as the mapper's own list says.
  std::optional<AccessList> access;
  std::uint32_t index = PageTable::no_region;
  Bytes chunk_size;
  std::vector<Frame*> frames;  // what each chunk is mapped to; nullptr each when `whole`
  CUmemGenericAllocationHandle whole = 0;  // when gathered: the one allocation behind all of it
  std::vector<CleanCopy> copies;           // of each chunk, if it has one
  std::uint64_t written_when_quiet = 0;    // Regions::written() when no work was in flight last
  TagGuess tag;
  bool held = false;  // what is in HBM stays there
  // For the tag: rounds of the pager, and what the hashes of leaving chunks told.
  std::uint64_t rounds_alive = 0, rounds_used = 0;
  std::uint64_t chunks_unchanged = 0, chunks_changed = 0;

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
  // A withdrawn one becomes another allocation in the same place, not to be found yet.
  void renew(Region* region);
  // The region at exactly `base`, which from now on is not found any more; nullptr when there is
  // none, or the application mapped it itself.
  [[nodiscard]] Region* withdraw(DeviceAddress base);
  // As above, of any region that can be found.
  void withdraw(const Region& region);
  // All of one context, as above.
  [[nodiscard]] std::vector<Region*> withdraw_all(CUcontext context);
  void erase(Region* region);
  // What belongs to one context, whether it can be found or not, belongs to another from now on.
  void hand_over(CUcontext from, CUcontext to);

  // The live region that contains an address. The pointer is good under the pager's lock.
  [[nodiscard]] Region* region_at(DeviceAddress inside) const;
  [[nodiscard]] std::optional<RegionView> find(DeviceAddress inside) const;
  // False when no live region contains the address.
  bool set_synchronous(DeviceAddress inside, bool synchronous);
  // Those that can be found; they stay alive as long as the pager's lock is held.
  [[nodiscard]] std::vector<Region*> live() const;
  [[nodiscard]] Bytes live_bytes(RegionKind kind) const {
    return {live_bytes_[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed)};
  }
  [[nodiscard]] Bytes live_bytes() const;
  [[nodiscard]] std::size_t count() const;
  // What may be done by its own device in a region that the application mapped itself.
  void set_access(Region& region, AccessList access);

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
  // Hot. A copy or memset wrote to the region.
  void wrote(std::uint32_t index, Access access, Bytes length) noexcept {
    Heat& heat = heat_[index];
    const bool in_use = heat.last_use.load(std::memory_order_relaxed) != 0;
    std::atomic<std::uint64_t>& sum = access == Access::zeroed    ? heat.zeroed
                                      : access == Access::written ? heat.copied_into
                                      : in_use                    ? heat.filled_in_use
                                                                  : heat.filled_before_use;
    sum.fetch_add(length.value, std::memory_order_relaxed);
  }
  // Bytes that copies and memsets wrote to the region so far; kernels are not seen.
  [[nodiscard]] std::uint64_t written(std::uint32_t index) const noexcept;
  // No work is in flight, nor can be submitted now.
  void quiet() noexcept;
  // Without what only the pager counts.
  [[nodiscard]] RegionHistory history(const Region& region) const;
  // Hot. How much of the region is not in HBM.
  [[nodiscard]] Bytes host_mapped(std::uint32_t index) const noexcept {
    return {heat_[index].host_mapped.load(std::memory_order_relaxed)};
  }
  void set_host_mapped(std::uint32_t index, Bytes bytes) noexcept {
    heat_[index].host_mapped.store(bytes.value, std::memory_order_relaxed);
  }
  // Hot. The number of what is known of its KV; 0 is none.
  [[nodiscard]] std::uint32_t kv_span(std::uint32_t index) const noexcept {
    return heat_[index].kv_span.load(std::memory_order_acquire);
  }
  void set_kv_span(std::uint32_t index, std::uint32_t number) noexcept {
    heat_[index].kv_span.store(number, std::memory_order_release);
  }

 private:
  static constexpr std::size_t most_regions = 1 << 20;
  struct Heat {
    std::atomic<std::uint64_t> host_mapped;
    std::atomic<std::uint64_t> filled_before_use, filled_in_use, zeroed, copied_into;
    std::atomic<Epoch> last_use;
    std::atomic<std::uint32_t> kv_span;
  };

  void begin_life(Region& region);
  [[nodiscard]] Region* lookup(DeviceAddress inside) const;
  Region* withdraw_locked(std::map<DeviceAddress, Region*>::iterator found);

  mutable std::shared_mutex mutex_;
  std::vector<std::unique_ptr<Region>> by_index_;
  std::vector<std::uint32_t> free_indices_;
  std::map<DeviceAddress, Region*> by_base_;
  std::uint64_t next_id_ = 1;
  std::array<std::atomic<std::uint64_t>, region_kinds> live_bytes_{};
  Heat* heat_ = nullptr;
};

}  // namespace vhbm
