// One device of the process with all that pages its memory: the allocator, the pager's thread and
// the one that page-locks host memory. Locking: as runtime.h says of its functions.
#pragma once

#include <memory>

#include "runtime/allocator.h"
#include "runtime/device.h"
#include "runtime/gathering.h"
#include "runtime/host_pool.h"
#include "runtime/imports.h"
#include "runtime/memory_report.h"
#include "runtime/pager.h"
#include "runtime/residency.h"
#include "runtime/virtual_memory.h"

namespace vhbm {

class PagedDevice {
 public:
  // On the current context's device. `process` outlives it.
  //   Errc::unsupported  no VMM or no host frames there
  [[nodiscard]] static Result<std::unique_ptr<PagedDevice>> start(const Driver& driver,
                                                                  const Options& options,
                                                                  Process& process,
                                                                  Decisions decisions);

  [[nodiscard]] MemoryInfo memory_info() const;
  void native_allocated(Bytes size);
  // Gives up freed regions until at most `keep` bytes of them, and of stream-ordered ones that
  // live, are mapped.
  void trim_idle(Bytes keep);
  [[nodiscard]] PoolUse pool_use() const;
  void reset_pool_marks(bool used, bool reserved);
  // `heir` gets its regions, if there is one.
  void context_destroyed(CUcontext context, CUcontext heir);
  // Hot. [address, address + length) begins in this device's part of the window.
  void touched(DeviceAddress address, Bytes length, Access access) noexcept;

  // A region is about to be freed.
  void kv_goes(DeviceAddress base) noexcept;

  void stop() noexcept;
  // No thread of ours is left in it.
  [[nodiscard]] bool ended() const {
    return pager.ended() && host_pool.ended() && device->recording.ended();
  }

  const std::unique_ptr<Device> device;
  Allocator allocator;
  Pager pager;
  HostPool host_pool;
  Gathering gathering;
  VirtualMemory virtual_memory;
  Imports imports;

 private:
  PagedDevice(std::unique_ptr<Device> started, Process& process, Decisions decisions)
      : device(std::move(started)),
        allocator(*device),
        pager(*device, allocator, process.gate, decisions),
        host_pool(*device),
        gathering(*device, process.gate),
        virtual_memory(*device, allocator, gathering),
        imports(*device, state_directory(device->options.state_dir)) {}
};

}  // namespace vhbm
