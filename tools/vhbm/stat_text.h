// Statistics as a person reads them: what matters most on top, in words, then the table.
#pragma once

#include <cstdio>
#include <string>

#include "rate_meter.h"
#include "runtime/stats_reader.h"

namespace vhbm::cli {

// Coloured where `stream` is a terminal. `rates` may be nullptr; `all` shows rows of value 0 too;
// `advice` is what the process's table of regions has.
[[nodiscard]] std::string stat_text(const StatsSnapshot& snapshot, const Rates* rates, bool all,
                                    const std::string& advice, std::FILE* stream);

}  // namespace vhbm::cli
