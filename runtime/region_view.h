// What others may know of a region.
#pragma once

#include <cuda.h>

#include "runtime/units.h"

namespace vhbm {

struct RegionView {
  RegionId id;
  DeviceAddress base;
  Bytes size;  // as the application asked for
  CUdevice device;
  CUcontext context;
  bool shareable = false;    // other processes can open it by its handle
  bool synchronous = false;  // CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, as the application set it
};

}  // namespace vhbm
