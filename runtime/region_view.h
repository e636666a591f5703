// What others may know of a region.
#pragma once

#include <cuda.h>

#include "runtime/units.h"

namespace vhbm {

// Which function gave the memory out: a program is told differently of each.
enum class RegionKind {
  plain,           // cuMemAlloc, cuMemAllocPitch
  stream_ordered,  // cuMemAllocAsync: of no context, from the device's default pool
};
inline constexpr std::size_t region_kinds = 2;

struct RegionView {
  RegionId id;
  DeviceAddress base;
  Bytes size;  // as the application asked for
  CUdevice device;
  CUcontext context;  // that it ends with; nullptr: with none
  RegionKind kind = RegionKind::plain;
  CUmemoryPool pool = nullptr;  // that it counts as allocated from
};

// What stream-ordered regions are in their pool's own terms.
struct PoolUse {
  Bytes used, used_high;          // allocated, and not freed yet
  Bytes reserved, reserved_high;  // with what was freed and may be had again as it is
};

}  // namespace vhbm
