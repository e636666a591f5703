// Puts one native allocation behind a whole region, for good. What leaves the process (a file
// descriptor, a registration of RDMA, a multicast binding) holds on to physical memory, which from
// then on must not change.
//   room        hbm_limit holds with the allocation, which the pager sees to
//   create      the allocation, mapped at a scratch address          no side effect yet
//   quiesce     as for a flip, with more patience, again and again   or the attempt is given up
//   copy        every chunk, until it has landed                     old frames stay mapped
//   switch      unmap, map, set access                               restored on an error
//   reopen, and give the frames back to the pools
// Invariant: whatever fails, the region is mapped to memory that holds its bytes, and nothing else
// is left behind. Locking: takes the device's lock for each attempt, never while it waits for the
// pager; the caller holds neither that nor a pass of the gate.
#pragma once

#include <cuda.h>

#include <chrono>
#include <span>

#include "runtime/device.h"
#include "runtime/gate.h"
#include "runtime/status.h"

namespace vhbm {

class Gathering {
 public:
  Gathering(Device& device, Gate& gate) : device_(device), gate_(gate) {}

  // Of the device's own memory, as sharing wants it: with a file descriptor, and fit for RDMA where
  // the device is.
  [[nodiscard]] static CUmemAllocationProp shareable(const Device& device);

  // All of the live region that contains `inside`, by an allocation with these properties, whose
  // location is the device. Harmless for one that is gathered, whatever its properties are.
  //   Errc::invalid_value  no live region is there
  //   Errc::unsupported    this device gives no handles of the requested types
  //   Errc::out_of_memory  hbm_limit, or the device, has no room for it beside what is in use
  //   Errc::abandoned      a stream is being captured, or the GPU does not get quiet: try later
  [[nodiscard]] Status gather(DeviceAddress inside, const CUmemAllocationProp& properties);
  // The bytes of frames that are mapped nowhere, one after the other, in one allocation that is the
  // caller's: it counts as native memory, release() ends it. The frames stay the caller's, too.
  // Failures as above.
  [[nodiscard]] Result<CUmemGenericAllocationHandle> gather(std::span<Frame* const> frames,
                                                            const CUmemAllocationProp& properties);
  void release(CUmemGenericAllocationHandle handle, Bytes size);
  // A file descriptor of a gathered region that still lives; the caller's to close.
  [[nodiscard]] Result<int> file_of(RegionId id, DeviceAddress base) const;

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Status check(const CUmemAllocationProp& properties) const;
  // The allocation at its scratch address, with room in the limit.
  [[nodiscard]] Result<Leftover> create(Bytes size, const CUmemAllocationProp& properties);
  // Errc::abandoned when a later attempt may succeed; `whole` is the region's after success.
  [[nodiscard]] Status attempt(Region& region, Leftover& whole, std::chrono::nanoseconds patience);
  // Gives the frames addresses of their own, since the region's may be open to nobody.
  [[nodiscard]] Status reach(std::span<Frame* const> frames);
  [[nodiscard]] Status copy(Leftover& whole, std::span<Frame* const> from);
  [[nodiscard]] Status put_behind(Region& region, const Leftover& whole);
  void settle(Region& region);
  // What a retry cannot change. The caller holds the device's lock.
  [[nodiscard]] Status hopeless() const;

  Device& device_;
  Gate& gate_;
};

}  // namespace vhbm
