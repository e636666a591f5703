#include "runtime/cupti/cupti_clock.h"

#include <ctime>
#include <limits>

namespace vhbm {
namespace {

// A reading between two others of the other clock is off by at most half of what lies between. The
// best of a few, since the thread may be put aside during any.
constexpr int readings = 8;

std::uint64_t monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

bool CuptiClock::compare(const CuptiFunctions& cupti) {
  std::uint64_t narrowest = std::numeric_limits<std::uint64_t>::max(), ahead = 0;
  for (int i = 0; i < readings; ++i) {
    std::uint64_t told = 0;
    const std::uint64_t before = monotonic_now();
    if (cupti.GetTimestamp(&told) != CuptiResult::success || told == 0) return false;
    const std::uint64_t between = monotonic_now() - before;
    if (between >= narrowest) continue;
    narrowest = between;
    ahead = told - (before + between / 2);
  }
  ahead_.store(ahead, std::memory_order_relaxed);
  return true;
}

}  // namespace vhbm
