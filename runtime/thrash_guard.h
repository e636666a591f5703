// Notices when moving does not pay: chunks come to HBM and leave it again before they were used
// twice, so that each crossed the link more often than if it had been read in place. Then nothing
// comes by choice for a while, and what is where it is stays there; for twice as long, each time
// that it is no better within so long afterwards. Locking: the caller's. No clock: the caller says
// what time it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "runtime/units.h"

namespace vhbm {

class ThrashGuard {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Chunks of a region moved, which had been used so many times by then, ever.
  void came(std::uint32_t region, Bytes bytes, std::uint64_t uses);
  void left(std::uint32_t region, Bytes bytes, std::uint64_t uses);
  // What leaves by nobody's choice, or is freed.
  void forget(std::uint32_t region, Bytes bytes);
  // Judges what moved since the last verdict, once at least so much came.
  void judge(Time now, Bytes sample);

  [[nodiscard]] bool active(Time now) const { return now < until_; }
  // In all: what came and left again before it was used twice; and how often that was too much.
  [[nodiscard]] Bytes in_vain() const { return all_in_vain_; }
  [[nodiscard]] std::uint64_t verdicts() const { return verdicts_; }

 private:
  struct Arrival {
    Bytes bytes;  // that came and have not left since
    std::uint64_t uses = 0;
  };

  std::vector<Arrival> arrivals_;  // by region
  Bytes came_, in_vain_, all_in_vain_;
  std::uint64_t verdicts_ = 0;
  std::chrono::nanoseconds pause_{0};
  Time until_{};
};

}  // namespace vhbm
