// The one place where an outcome of the runtime becomes what CUDA tells an application.
#pragma once

#include <cuda.h>

#include "runtime/status.h"

namespace vhbm::interpose {

[[nodiscard]] inline CUresult to_cuda(const Status& status) {
  switch (status.code()) {
    case Errc::ok: return CUDA_SUCCESS;
    case Errc::invalid_value: return CUDA_ERROR_INVALID_VALUE;
    case Errc::driver_error: return status.driver_result();
    // Frameworks free their caches and try again on this one only.
    case Errc::out_of_memory:
    case Errc::too_small:
    case Errc::frozen:
    case Errc::abandoned:
    case Errc::system_error:
    case Errc::unsupported: return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return CUDA_ERROR_UNKNOWN;
}

}  // namespace vhbm::interpose
