// The application's own calls of virtual memory: what it reserves comes from the window, what it
// creates is backed by frames, and what it maps is a region, which is paged like any other. What
// frames cannot do (a second mapping of one allocation, a handle for others) is done with one real
// handle instead, which takes the frames' place for good: the memory is fixed then.
// Invariant: whatever a call answers, the application sees what the driver would show it. Locking:
// one of its own, under which memory is fixed, and the device's lock inside it; never waits for GPU
// work of the application, except to fix memory.
#pragma once

#include <cuda.h>

#include <optional>
#include <span>
#include <vector>

#include "runtime/allocator.h"
#include "runtime/device.h"
#include "runtime/fixing.h"
#include "runtime/status.h"

namespace vhbm {

class VirtualMemory {
 public:
  using Handle = CUmemGenericAllocationHandle;

  VirtualMemory(Device& device, Allocator& allocator, Gathering& gathering);

  // Addresses from the device's part of the window, at the hint if that is free there.
  //   Errc::unsupported, Errc::out_of_memory  the driver is to be asked instead
  [[nodiscard]] Result<DeviceAddress> reserve(Bytes size, Bytes alignment, DeviceAddress hint);
  //   Errc::invalid_value  not a whole reservation of the window's, or something is mapped there
  [[nodiscard]] Status free(AddressRange range);
  // The reservation in the window that contains an address. Takes no lock that a flip holds.
  [[nodiscard]] std::optional<AddressRange> reservation(DeviceAddress inside) const {
    return device_.reservations.find(inside);
  }

  // The size of which created memory is a multiple.
  [[nodiscard]] Bytes granularity() const { return device_.frames->frame_size(); }
  // Whether create() makes such memory; else it is the driver's.
  [[nodiscard]] bool backs(Bytes size, const CUmemAllocationProp& properties) const;
  //   Errc::out_of_memory  both limits are reached
  [[nodiscard]] Result<Handle> create(Bytes size, const CUmemAllocationProp& properties);
  // Whether create() or retain() gave it out, or could have.
  [[nodiscard]] static bool is_handle(Handle handle) { return Memories::is_handle(handle); }
  //   Errc::invalid_value  the application does not hold that handle
  [[nodiscard]] Status release(Handle handle);
  [[nodiscard]] Result<CUmemAllocationProp> properties(Handle handle) const;
  // The driver's handle of the same memory, which is fixed from now on; of the driver's own,
  // itself. Requires that this thread holds no pass of the gate.
  //   Errc::invalid_value  the application does not hold that handle
  //   Errc::out_of_memory  hbm_limit has no room for it beside what is in use
  //   Errc::abandoned      the GPU does not get quiet, or a stream is being captured
  [[nodiscard]] Result<Handle> real(Handle handle);

  // Whether some of these addresses lie in the window, or memory of ours is mapped there: then a
  // call about them is for the functions below.
  [[nodiscard]] bool concerns(AddressRange range) const;
  // As cuMemMap, of a handle of either kind, in the window or, of one of ours, outside; failures as
  // of real(), or the driver's.
  [[nodiscard]] Status map(AddressRange range, Bytes offset, Handle handle,
                           unsigned long long flags);
  // As cuMemUnmap, of whole mappings of either kind.
  [[nodiscard]] Status unmap(AddressRange range);
  [[nodiscard]] Status set_access(AddressRange range, std::span<const CUmemAccessDesc> list);
  [[nodiscard]] Status access(DeviceAddress inside, const CUmemLocation* location,
                              unsigned long long* flags) const;
  // One more handle of what is mapped there.
  [[nodiscard]] Result<Handle> retain(DeviceAddress inside);
  // What is mapped there is mapped by real handles from now on.
  [[nodiscard]] Status fix(AddressRange range);

 private:
  // As real(). The caller holds `calls_`.
  [[nodiscard]] Result<Handle> make_real(Handle handle);
  [[nodiscard]] bool in_window(DeviceAddress address) const;
  [[nodiscard]] bool reaches_window(AddressRange range) const;
  // The caller of all of these holds the device's lock as well.
  [[nodiscard]] bool may_be_region(const Memory& memory, AddressRange range) const;
  [[nodiscard]] Status map_region(Memory& memory, AddressRange range);
  [[nodiscard]] Status map_real(AddressRange range, Bytes offset, Handle handle, Memory* memory,
                                unsigned long long flags);
  // What a call about the range concerns; nothing when it cuts a mapping of the window's.
  [[nodiscard]] std::optional<std::vector<Mapping>> mappings_of(AddressRange range) const;
  void forget_mapping(const Mapping& mapping);
  // Of memory that neither a handle nor a mapping refers to.
  void end_if_unused(Memory& memory);

  Device& device_;
  Allocator& allocator_;
  Fixing fixing_;
  const bool exports_, reaches_rdma_;
  // One call after the other, also while one of them fixes memory.
  std::mutex calls_;
};

}  // namespace vhbm
