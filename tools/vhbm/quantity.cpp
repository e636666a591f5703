// Powers of 1024 for memory, as the limits are given.
#include "quantity.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace vhbm::cli {

std::string bytes_text(std::uint64_t bytes) {
  static constexpr const char* names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes == 0) return "0";
  auto scaled = static_cast<double>(bytes);
  std::size_t i = 0;
  for (; scaled >= 1024 && i + 1 < std::size(names); ++i) scaled /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, i == 0 ? "%.0f %s" : "%.1f %s", scaled, names[i]);
  return text;
}

std::string rate_text(double bytes_per_second) {
  if (bytes_per_second < 1) return "0";
  const bool small = bytes_per_second < 1e8;
  char text[32];
  std::snprintf(text, sizeof text, small ? "%.2f MB/s" : "%.2f GB/s",
                bytes_per_second / (small ? 1e6 : 1e9));
  return text;
}

std::string duration_text(std::uint64_t nanoseconds) {
  if (nanoseconds == 0) return "0";
  const auto number = static_cast<double>(nanoseconds);
  const unsigned long long seconds = nanoseconds / 1'000'000'000;
  char text[48];
  if (nanoseconds < 1000) {
    std::snprintf(text, sizeof text, "%.0f ns", number);
  } else if (nanoseconds < 10'000) {
    std::snprintf(text, sizeof text, "%.2f us", number / 1e3);
  } else if (seconds == 0) {
    std::snprintf(text, sizeof text, "%.2f ms", number / 1e6);
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.2f s", number / 1e9);
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%llu min %llu s", seconds / 60, seconds % 60);
  } else {
    std::snprintf(text, sizeof text, "%llu h %llu min", seconds / 3600, seconds / 60 % 60);
  }
  return text;
}

std::string value_text(std::uint64_t value, StatUnit unit) {
  switch (unit) {
    case StatUnit::bytes:
      return bytes_text(value);
    case StatUnit::bytes_per_second:
      return rate_text(static_cast<double>(value));
    case StatUnit::nanoseconds:
      return duration_text(value);
    case StatUnit::count:
    case StatUnit::flag:
      break;
  }
  return std::to_string(value);
}

std::string bar(std::uint64_t part, std::uint64_t whole, int cells) {
  part = std::min(part, whole);
  int full = 0;
  if (whole != 0) {
    full = static_cast<int>(static_cast<double>(part) / static_cast<double>(whole) * cells);
    if (part == whole) full = cells;
    if (part != 0) full = std::max(full, 1);
    if (part != whole) full = std::min(full, cells - 1);
  }
  std::string text = "[";
  text.append(static_cast<std::size_t>(full), '#');
  text.append(static_cast<std::size_t>(cells - full), '.');
  return text + "]";
}

unsigned percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return 0;
  if (part >= whole) return 100;
  return std::min(
      99u, static_cast<unsigned>(static_cast<double>(part) * 100 / static_cast<double>(whole)));
}

std::string short_command(const std::string& command) {
  const std::size_t slash = command.substr(0, command.find(' ')).rfind('/');
  return printable(slash == std::string::npos ? command : command.substr(slash + 1));
}

std::string printable(const std::string& text) {
  std::string result = text;
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return result;
}

}  // namespace vhbm::cli
