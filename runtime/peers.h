// Other devices whose kernels reach the regions, as they reach cuMemAlloc's memory once
// cuCtxEnablePeerAccess was called. Invariant: whatever is mapped in the window is open to the
// mapper's peers, in every tier, since each switch maps for them too.
#pragma once

#include <span>

#include "runtime/device.h"

namespace vhbm {

// From now on the regions, those there are and those to come, are open to exactly these devices
// beside their own. Takes the device's lock. A driver's refusal to open a region is the answer, and
// then all is as it was before; what it refuses to close stays open, which no right program sees.
[[nodiscard]] Status set_peers(Device& device, std::span<const CUdevice> peers);

}  // namespace vhbm
