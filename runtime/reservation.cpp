#include "runtime/reservation.h"

namespace vhbm {

Result<Reservation> reserve_addresses(const Driver& driver, Bytes size, Bytes least,
                                      Bytes alignment) {
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  const auto halved = [&] { return Bytes{size.value / 2 / alignment.value * alignment.value}; };
  for (size = size.rounded_up_to(alignment); size.value != 0 && size >= least; size = halved()) {
    CUdeviceptr begin = 0;
    result = driver.cuMemAddressReserve(&begin, size.value, alignment.value, 0, 0);
    if (result == CUDA_SUCCESS) return Reservation{{begin}, size};
  }
  return Status::driver(result, "cuMemAddressReserve");
}

}  // namespace vhbm
