#include "replay/workload.h"

#include <algorithm>

namespace vhbm::replay {

std::uint64_t Workload::uses() const {
  return static_cast<std::uint64_t>(std::count_if(
      events.begin(), events.end(), [](const Event& one) { return one.kind == Event::Kind::use; }));
}

Bytes Workload::peak() const {
  Bytes most, now;
  for (const Event& event : events) {
    const bool born = event.kind == Event::Kind::born, gone = event.kind == Event::Kind::gone;
    if ((!born && !gone) || lives[event.what].whole) continue;
    const Bytes size = lives[event.what].bytes();
    now = born ? now + size : saturating_minus(now, size);
    most = std::max(most, now);
  }
  return most;
}

}  // namespace vhbm::replay
