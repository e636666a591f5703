// Gives the application regions and takes them back.
// Invariant: a region that can be found is mapped to frames, every byte of it. Locking: takes the
// device's lock, but never while it waits for the GPU.
#pragma once

#include "runtime/device.h"
#include "runtime/gate.h"
#include "runtime/stream_order.h"

namespace vhbm {

class Allocator {
 public:
  explicit Allocator(Device& device) : device_(device) {}

  // As Runtime::allocate and Runtime::free say.
  [[nodiscard]] Result<DeviceAddress> allocate(Bytes size);
  [[nodiscard]] Status free(DeviceAddress base);
  // As Runtime::allocate_in_order and Runtime::free_in_order say.
  [[nodiscard]] Result<DeviceAddress> allocate_in_order(Bytes size, const StreamOrder& order,
                                                        CUmemoryPool pool);
  [[nodiscard]] Status free_in_order(DeviceAddress base, const StreamOrder& order, Gate& gate);
  // The context's regions, after its work ended.
  void free_all(CUcontext context);
  // What free() could not take apart while a stream was being captured. The caller holds the
  // device's lock, and no GPU work that was submitted before those frees is in flight.
  void empty_graveyard();
  // Takes apart what was freed on a stream that has reached the free, nobody having taken it since
  // `before`, oldest first, as long as more than `keep` bytes of it are idle. The caller holds the
  // device's lock.
  void give_up_idle(IdleRegions::Clock::time_point before, Bytes keep = {});
  // As Runtime says; the caller holds the device's lock.
  [[nodiscard]] const PoolUse& pool_use() const { return pool_use_; }
  void reset_pool_marks(bool used, bool reserved);
  // What the driver would not unmap. The caller holds the device's lock.
  void retry_refused();

  // Frames for so many chunks, waiting a moment for those that are on their way.
  //   Errc::out_of_memory  both limits are reached
  [[nodiscard]] Result<std::vector<Frame*>> back(std::size_t count);
  // Below, the caller holds the device's lock.
  // Follows the user's rules about regions of its size.
  void apply_rules(Region& region) const;
  // The pages of a region that has an index, a mapping and frames are its own from now on, ...
  void give_pages(const Region& region);
  // ... and it can be found.
  void publish(Region& region);
  // The region was withdrawn and unmapped: it ceases to be, but for the frames behind it.
  [[nodiscard]] std::vector<Frame*> retract(Region& region);

 private:
  // An allocation, as it is asked for.
  struct Request {
    Bytes size;
    CUcontext context;
    RegionKind kind;
    CUmemoryPool pool;
    std::uint64_t stream;  // whose freed regions it may have at once
  };
  [[nodiscard]] Result<DeviceAddress> allocate(const Request& request);
  // The same at this moment; `again` when memory is on its way.
  [[nodiscard]] Result<DeviceAddress> try_to_allocate(const Request& request, bool* again);
  // What `attempt(&again)` makes; again and again while it says so, for a moment.
  template <typename Attempt>
  [[nodiscard]] auto patiently(Attempt&& attempt);
  // Copies that are under way hold host frames for a moment only, and so does another device's
  // lock.
  [[nodiscard]] bool more_soon(std::size_t count) const;
  void describe(Region& region, const Request& request, DeviceAddress base) const;
  [[nodiscard]] Region* reuse(const Request& request, Bytes mapped);
  // Freed memory in HBM is better than any of the host's.
  void spare_host(std::size_t count);
  // Phases of allocate(), each undone by the next one's failure.
  [[nodiscard]] Status take_frames(std::size_t count, std::vector<Frame*>& frames);
  [[nodiscard]] Status map(Region& region);
  // What the statistics say of where the region's bytes are.
  void count_in(Region& region);
  void count_out(Region& region);
  void count_regions();
  // A region that was withdrawn, whose bytes nobody needs any more, as it waits to be had again.
  void lay_aside(Region& region);
  void give_back(std::vector<Frame*>& frames);
  // What is kept, or on its way, beside the frames that the region is mapped to.
  void drop_copies(Region& region);
  // No GPU work reaches the region any more.
  void take_apart(Region& region);
  // False when the driver refuses, and all stays as it is.
  [[nodiscard]] bool try_to_take_apart(Region& region);

  Device& device_;
  PoolUse pool_use_;
};

}  // namespace vhbm
