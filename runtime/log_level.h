// How much is logged, apart from the log itself so that options need not know it.
#pragma once

#include <array>

namespace vhbm {

enum class LogLevel { trace, debug, info, warn, error, off };

inline constexpr std::array<const char*, 6> log_level_names = {"trace", "debug", "info",
                                                               "warn",  "error", "off"};

}  // namespace vhbm
