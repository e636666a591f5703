// Statistics as a person reads them: what matters most on top, in words, then the table.
#pragma once

#include <cstdio>
#include <string>

#include "runtime/stats_reader.h"

namespace vhbm::cli {

// What happened between two looks at one process.
struct Rates {
  double seconds = 0;
  double promoted_bytes = 0, evicted_bytes = 0, flips = 0, launches = 0;  // a second
  double stall_share = 0;                                                 // of the time, 0 to 1

  [[nodiscard]] static Rates between(const StatsSnapshot& before, const StatsSnapshot& after,
                                     double seconds);
};

// Coloured where `stream` is a terminal. `rates` may be nullptr; `all` shows rows of value 0 too.
[[nodiscard]] std::string stat_text(const StatsSnapshot& snapshot, const Rates* rates, bool all,
                                    std::FILE* stream);

}  // namespace vhbm::cli
