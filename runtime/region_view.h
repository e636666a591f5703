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
};

}  // namespace vhbm
