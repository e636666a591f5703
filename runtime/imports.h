// Regions of other processes that are mapped into this one by their handles. Invariant: what can be
// found is mapped. Locking: one lock for opening and closing, which may wait for the other process;
// one for looking, held for moments.
#pragma once

#include <cuda.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "runtime/device.h"
#include "runtime/region_view.h"
#include "runtime/shared_handle.h"
#include "runtime/status.h"

namespace vhbm {

class Imports {
 public:
  Imports(Device& device, std::string directory)
      : device_(device), directory_(std::move(directory)) {}

  // Asks the handle's process for the memory and maps it. What the context has open already is
  // given again, and counted.
  //   Errc::invalid_value  the process, or the region, is gone, or refuses
  [[nodiscard]] Result<DeviceAddress> open(const SharedHandle& handle, CUcontext context);
  // Undoes one open(); the last one waits for the work in flight, as cuMemFree does, and unmaps.
  //   Errc::invalid_value  not what open() gave
  //   Errc::abandoned      a stream is being captured: it stays open
  [[nodiscard]] Status close(DeviceAddress base);
  // The context's, after its work ended.
  void close_all(CUcontext context);

  // The open region that contains `address`.
  [[nodiscard]] std::optional<RegionView> find(DeviceAddress address) const;
  // Whether one is mapped there, or beside it in the same memory.
  [[nodiscard]] bool maps(DeviceAddress address) const;

 private:
  struct Opened {
    RegionView view;
    SharedHandle handle;
    Bytes mapped;
    unsigned references = 1;
  };
  struct Received {
    int file;
    Bytes size, mapped;
  };
  [[nodiscard]] Result<Received> ask(const SharedHandle& handle) const;
  [[nodiscard]] Result<DeviceAddress> map(const Received& received);
  [[nodiscard]] Status unmap(DeviceAddress base, Bytes size);
  void forget(DeviceAddress base);
  [[nodiscard]] const Opened* lookup(DeviceAddress address) const;

  Device& device_;
  const std::string directory_;
  std::mutex opening_;
  mutable std::shared_mutex mutex_;
  std::map<DeviceAddress, Opened> opened_;
  std::atomic<std::size_t> count_{0};  // so that looking costs nothing while there are none
  std::uint64_t next_id_ = 1;
};

}  // namespace vhbm
