// How CUPTI's clock is related to CLOCK_MONOTONIC. CUPTI tells times of a clock of its own choice
// (of CUDA 13.0: CLOCK_REALTIME's, which may be set meanwhile), so they are compared again and
// again. What was found stands until a comparison contradicts it, or is much better, since a
// distance that wavers would let kernels overlap that followed each other. Locking: none; one
// thread compares, and the distance is one atomic word.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/cupti/cupti_library.h"

namespace vhbm {

class CuptiClock {
 public:
  // Compares them now. False, and nothing changes, when CUPTI tells no time.
  bool compare(const CuptiFunctions& cupti);

  [[nodiscard]] std::int64_t monotonic(std::uint64_t cupti_ns) const {
    return static_cast<std::int64_t>(cupti_ns - ahead_.load(std::memory_order_relaxed));
  }

 private:
  std::atomic<std::uint64_t> ahead_{0};  // of CLOCK_MONOTONIC, in nanoseconds, modulo 2^64
  std::uint64_t off_by_ = 0;             // at most, then
  bool known_ = false;
};

}  // namespace vhbm
