// Sizes and rates as the probe writes them: binary units, the unit in every name.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace vmm_probe {

constexpr std::size_t operator""_KiB(unsigned long long n) {
  return n << 10;
}
constexpr std::size_t operator""_MiB(unsigned long long n) {
  return n << 20;
}
constexpr std::size_t operator""_GiB(unsigned long long n) {
  return n << 30;
}

inline double to_gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1_GiB);
}

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;
using Seconds = std::chrono::duration<double>;

inline double microseconds_since(Clock::time_point start) {
  return Microseconds(Clock::now() - start).count();
}
inline double seconds_since(Clock::time_point start) {
  return Seconds(Clock::now() - start).count();
}

// "2 MiB", "64 KiB": for people and for the names of rows.
inline std::string size_name(std::size_t bytes) {
  if (bytes % 1_GiB == 0) return std::to_string(bytes / 1_GiB) + " GiB";
  if (bytes % 1_MiB == 0) return std::to_string(bytes / 1_MiB) + " MiB";
  return std::to_string(bytes / 1_KiB) + " KiB";
}

}  // namespace vmm_probe
