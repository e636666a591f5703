// What others may know of a region.
#pragma once

#include <cuda.h>

#include <optional>

#include "runtime/units.h"

namespace vhbm {

// Of a region that the application mapped itself.
struct MemoryView {
  MemoryId id;
  AddressRange reservation;         // that it was mapped in
  unsigned long long handle_types;  // that were asked for
  CUmemAccess_flags access;         // of the memory's own device
};

struct RegionView {
  RegionId id;
  DeviceAddress base;
  Bytes size;  // as the application asked for
  CUdevice device;
  CUcontext context;  // nullptr when the application mapped it itself
  std::optional<MemoryView> memory{};
};

}  // namespace vhbm
