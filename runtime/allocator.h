// Gives the application regions and takes them back.
// Invariant: a region that can be found is mapped to frames, every byte of it. Locking: takes the
// device's lock, but never while it waits for the GPU.
#pragma once

#include "runtime/device.h"

namespace vhbm {

class Allocator {
 public:
  explicit Allocator(Device& device) : device_(device) {}

  // As Runtime::allocate and Runtime::free say.
  [[nodiscard]] Result<DeviceAddress> allocate(Bytes size);
  [[nodiscard]] Status free(DeviceAddress base);
  // The context's regions, after its work ended.
  void free_all(CUcontext context);
  // What free() could not take apart while a stream was being captured. The caller holds the
  // device's lock, and no GPU work that was submitted before those frees is in flight.
  void empty_graveyard();
  // What the driver would not unmap. The caller holds the device's lock.
  void retry_refused();

  // Frames for so many chunks, waiting a moment for those that are on their way.
  //   Errc::out_of_memory  both limits are reached
  [[nodiscard]] Result<std::vector<Frame*>> back(std::size_t count);
  // Below, the caller holds the device's lock.
  // Follows the user's rules about regions of its size.
  void apply_rules(Region& region);
  // The region, which has an index, a mapping and frames, can be found from now on.
  void publish(Region& region);
  // The region was withdrawn and unmapped: it ceases to be, but for the frames behind it.
  [[nodiscard]] std::vector<Frame*> retract(Region& region);

 private:
  // allocate() at this moment; `again` when a frame is on its way.
  [[nodiscard]] Result<DeviceAddress> try_to_allocate(Bytes size, CUcontext context, bool* again);
  // What `attempt(&again)` makes; again and again while it says so, for a moment.
  template <typename Attempt>
  [[nodiscard]] auto patiently(Attempt&& attempt);
  // Copies that are under way hold host frames for a moment only, and so does another device's
  // lock.
  [[nodiscard]] bool more_soon() const;
  // Phases of allocate(), each undone by the next one's failure.
  [[nodiscard]] Status take_frames(std::size_t count, std::vector<Frame*>& frames);
  [[nodiscard]] Status map(Region& region);
  void count_regions();
  void give_back(std::vector<Frame*>& frames);

  // What is kept, or on its way, beside the frames that the region is mapped to.
  void drop_copies(Region& region);
  // No GPU work reaches the region any more.
  void take_apart(Region& region);
  // False when the driver refuses, and all stays as it is.
  [[nodiscard]] bool try_to_take_apart(Region& region);

  Device& device_;
};

}  // namespace vhbm
