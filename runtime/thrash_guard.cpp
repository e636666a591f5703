#include "runtime/thrash_guard.h"

#include <algorithm>

namespace vhbm {
namespace {

constexpr std::chrono::seconds shortest{1}, longest{64};
// Once is what reading in place would have cost.
constexpr std::uint64_t worth_it = 2;

}  // namespace

void ThrashGuard::came(std::uint32_t region, Bytes bytes, std::uint64_t uses) {
  if (region >= arrivals_.size()) arrivals_.resize(region + 1);
  Arrival& arrival = arrivals_[region];
  arrival.bytes += bytes;
  arrival.uses = uses;
  came_ += bytes;
}

void ThrashGuard::forget(std::uint32_t region, Bytes bytes) {
  if (region >= arrivals_.size()) return;
  Arrival& arrival = arrivals_[region];
  arrival.bytes = saturating_minus(arrival.bytes, bytes);
}

void ThrashGuard::left(std::uint32_t region, Bytes bytes, std::uint64_t uses) {
  if (region >= arrivals_.size()) return;
  Arrival& arrival = arrivals_[region];
  const Bytes of_these = std::min(bytes, arrival.bytes);
  arrival.bytes -= of_these;
  if (uses >= arrival.uses + worth_it) return;
  in_vain_ += of_these;
  all_in_vain_ += of_these;
}

void ThrashGuard::judge(Time now, Bytes sample) {
  if (came_ < sample) return;
  if (in_vain_.value > came_.value / 2) {
    // What stayed during a pause was used meanwhile: that it paid says nothing of the time after.
    const bool again = now < until_ + pause_;
    pause_ = again ? std::min<std::chrono::nanoseconds>(pause_ * 2, longest) : shortest;
    until_ = now + pause_;
    ++verdicts_;
  }
  came_ = in_vain_ = {};
}

}  // namespace vhbm
