// Frameworks know how to go on after CUDA_ERROR_OUT_OF_MEMORY only, so whatever keeps an allocation
// from being backed is that, unless the driver itself said what is wrong.
#include "interpose/cuda_result.h"

namespace vhbm::interpose {

CUresult to_cuda(const Status& status) {
  switch (status.code()) {
    case Errc::ok:
      return CUDA_SUCCESS;
    case Errc::invalid_value:
      return CUDA_ERROR_INVALID_VALUE;
    case Errc::driver_error:
      return status.driver_result();
    case Errc::out_of_memory:
    case Errc::too_small:
    case Errc::unsupported:
    case Errc::frozen:
    case Errc::abandoned:
    case Errc::system_error:
    case Errc::tier_full:
      return CUDA_ERROR_OUT_OF_MEMORY;
    // What the application had in memory cannot be brought back: no retry with less would help it.
    case Errc::tier_unreachable:
    case Errc::bytes_lost:
    case Errc::bytes_corrupted:
      return CUDA_ERROR_OPERATING_SYSTEM;
  }
  return CUDA_ERROR_UNKNOWN;
}

}  // namespace vhbm::interpose
