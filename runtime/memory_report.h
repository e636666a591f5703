// How much memory this process may hold, and what it is told of it: one computation for every
// function that tells (cuMemGetInfo, cuDeviceTotalMem, NVML), before the runtime starts as after.
// Values only. Locking: none.
#pragma once

#include "runtime/options.h"
#include "runtime/units.h"

namespace vhbm {

struct MemoryInfo {
  Bytes free, total;
  Bytes live;  // what this process allocated, wherever it lies
};

// What regions may hold of either memory: the options `hbm_limit` and `host_limit` in bytes.
struct Capacity {
  Bytes hbm, host;
};

// What regions may hold of a device of `total` bytes; the rest is for what is native: contexts, code,
// libraries' own pools.
[[nodiscard]] Bytes shared_hbm(Bytes total);

// On a device that has `total` bytes, of which `free` are free now, on a host of which `host` bytes
// are available.
[[nodiscard]] Capacity capacity_of(const Options& options, Bytes total, Bytes free, Bytes host);

// Whether anything is told that is not so of the device itself: the total and all that goes with
// it. Otherwise only cuMemGetInfo's free bytes are told otherwise: those that this process may
// still allocate, not what its neighbours left.
[[nodiscard]] bool tells_other_total(const Options& options);

// As the option `report` says, of a device of `device_total` bytes; never moved by other processes.
[[nodiscard]] MemoryInfo memory_told(const Options& options, Bytes device_total, Capacity capacity,
                                     Bytes live);

}  // namespace vhbm
