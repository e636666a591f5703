// What this process is told of a CUDA device's memory in place of the driver's own answer,
// whichever function it asks, and when: before a context exists, while the runtime runs, and where
// there is none. Starts nothing. Locking: none.
#pragma once

#include <optional>

#include "interpose/linkage.h"
#include "runtime/memory_report.h"

namespace vhbm::interpose {

// Whether NVML and cuDeviceTotalMem say anything but the truth in this process.
[[nodiscard]] bool tells_other_total() noexcept;

// Of a device that has `total` bytes, of which `free` are free now. nullopt: what the driver says
// is so. Until the process has used a GPU, any that it sees may become the one that is paged, so
// each is told of as that one; from then on the others are the driver's.
[[nodiscard]] std::optional<MemoryInfo> told_of(CUdevice device, Bytes total, Bytes free) noexcept;
// The same before CUDA is initialised, when devices have no numbers.
[[nodiscard]] std::optional<MemoryInfo> told_before_use(Bytes total, Bytes free) noexcept;

}  // namespace vhbm::interpose
