// The one place where what happened in the runtime becomes what CUDA would have answered.
#pragma once

#include <cuda.h>

#include "runtime/status.h"

namespace vhbm::interpose {

[[nodiscard]] CUresult to_cuda(const Status& status);

}  // namespace vhbm::interpose
