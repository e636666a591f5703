// The runtime's log: a few lines on stderr, each saying what happened, where, and what to do. Never
// on a hot path. Locking: one line is written at once; any thread may log.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "runtime/log_level.h"

namespace vhbm {

void set_log_level(LogLevel level);
[[nodiscard]] bool logs(LogLevel level);
void log_line(LogLevel level, std::string_view line) noexcept;
// Formats in log.cpp: what fmt is made of is compiled there, not in every file that logs.
void log_formatted(LogLevel level, fmt::string_view format, fmt::format_args args) noexcept;

template <typename... Args>
void log_as(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (logs(level)) log_formatted(level, format, fmt::make_format_args(args...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_as(LogLevel::info, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_as(LogLevel::warn, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_as(LogLevel::error, format, std::forward<Args>(args)...);
}

// For what may happen again and again: a static one at each place tells it once a minute.
class Seldom {
 public:
  template <typename... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    if (is_due()) log_warn(format, std::forward<Args>(args)...);
  }

 private:
  [[nodiscard]] bool is_due() noexcept;
  std::atomic<std::int64_t> due_{0};  // seconds of the steady clock
};

}  // namespace vhbm
