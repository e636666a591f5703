// How much memory an array takes, as far as its description tells.
#pragma once

#include <cuda.h>

#include "runtime/units.h"

namespace vhbm::interpose {

// The bytes of its elements, of all levels together; the driver may pad them. 0 for what has no
// memory of its own yet, and for compressed and planar formats, whose layout is the driver's.
[[nodiscard]] Bytes array_size(const CUDA_ARRAY3D_DESCRIPTOR& shape, unsigned levels = 1);

}  // namespace vhbm::interpose
