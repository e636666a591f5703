// spdlog stays behind this file: a logger of our own that nobody else's registry knows, and that is
// never destroyed, since hooks may run after static destructors.
#include "runtime/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <memory>

namespace vhbm {
namespace {

constexpr spdlog::level::level_enum spdlog_levels[] = {spdlog::level::trace, spdlog::level::debug,
                                                       spdlog::level::info,  spdlog::level::warn,
                                                       spdlog::level::err,   spdlog::level::off};

spdlog::logger& logger() {
  static spdlog::logger* const made = [] {
    auto* logger = new spdlog::logger("vhbm", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("vhbm[%P] %l: %v");
    logger->set_level(spdlog::level::warn);
    logger->flush_on(spdlog::level::trace);
    return logger;
  }();
  return *made;
}

}  // namespace

void set_log_level(LogLevel level) {
  logger().set_level(spdlog_levels[static_cast<std::size_t>(level)]);
}

bool logs(LogLevel level) {
  return logger().should_log(spdlog_levels[static_cast<std::size_t>(level)]);
}

void log_line(LogLevel level, std::string_view line) noexcept {
  try {
    logger().log(spdlog_levels[static_cast<std::size_t>(level)],
                 spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {  // a line less is better than a dead host
  }
}

void log_formatted(LogLevel level, fmt::string_view format, fmt::format_args args) noexcept {
  try {
    log_line(level, fmt::vformat(format, args));
  } catch (...) {
  }
}

bool Seldom::is_due() noexcept {
  const auto uptime = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(uptime).count();
  std::int64_t due = due_.load(std::memory_order_relaxed);
  // Of several threads one tells it.
  return now >= due && due_.compare_exchange_strong(due, now + 60, std::memory_order_relaxed);
}

}  // namespace vhbm
