// What happened between two looks at a process's counters.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "runtime/stats_reader.h"

namespace vhbm::cli {

struct Rates {
  double seconds = 0;
  double promoted_bytes = 0, evicted_bytes = 0, flips = 0, launches = 0;  // a second
  double stall_share = 0;                                                 // of the time, 0 to 1

  [[nodiscard]] static Rates between(const StatsSnapshot& before, const StatsSnapshot& after,
                                     double seconds);
};

// The snapshot as an object, with its rates where they are known.
[[nodiscard]] std::string stats_json(const StatsSnapshot& snapshot,
                                     const std::optional<Rates>& rates);

class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;

  // Since the last look at this device of this process; nullopt at the first.
  [[nodiscard]] std::optional<Rates> look(const StatsSnapshot& snapshot, Clock::time_point now);

 private:
  struct Seen {
    StatsSnapshot snapshot;
    Clock::time_point when;
  };
  std::map<std::pair<pid_t, int>, Seen> seen_;
};

}  // namespace vhbm::cli
