#include "runtime/cupti/cupti_clock.h"

#include <algorithm>
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
  const std::uint64_t off_by = narrowest / 2 + 1;
  const std::uint64_t apart = ahead - ahead_.load(std::memory_order_relaxed);
  const std::uint64_t difference = std::min(apart, 0 - apart);
  const bool agrees = difference <= off_by + off_by_, much_better = off_by < off_by_ / 4;
  if (known_ && agrees && !much_better) return true;
  ahead_.store(ahead, std::memory_order_relaxed);
  off_by_ = off_by;
  known_ = true;
  return true;
}

}  // namespace vhbm
