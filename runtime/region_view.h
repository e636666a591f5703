// What others may know of a region.
#pragma once

#include <cuda.h>

#include <optional>

#include "runtime/units.h"

namespace vhbm {

// Which function gave the memory out: a program is told differently of each.
enum class RegionKind {
  plain,           // cuMemAlloc, cuMemAllocPitch
  stream_ordered,  // cuMemAllocAsync: of no context, from the device's default pool
  mapped,          // cuMemMap, of the application's own cuMemCreate: of no context
};
inline constexpr std::size_t region_kinds = 3;

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
  CUcontext context;  // that it ends with; nullptr: with none
  RegionKind kind = RegionKind::plain;
  CUmemoryPool pool = nullptr;         // that it counts as allocated from
  std::optional<MemoryView> memory{};  // of one that the application mapped itself
  bool shareable = false;              // other processes can open it by its handle
  bool synchronous = false;  // CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, as the application set it
};

// What stream-ordered regions are in their pool's own terms.
struct PoolUse {
  Bytes used, used_high;          // allocated, and not freed yet
  Bytes reserved, reserved_high;  // with what was freed and may be had again as it is
};

}  // namespace vhbm
