// The scheduling fuzzer: at points where a real GPU, its copy engines or the operating system could
// be late, it waits for a random while. Off unless SIMGPU_FUZZ is set; one relaxed load when off.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace simgpu {

class Fuzzer {
 public:
  // "SEED" or "SEED:INTENSITY", intensity 1 to 100: the percentage of points that are delayed.
  static bool configure(const std::string& text);
  static void configure(std::uint64_t seed, unsigned intensity);

  static void point() noexcept {
    if (intensity_.load(std::memory_order_relaxed) != 0) delay();
  }
  static bool enabled() noexcept { return intensity_.load(std::memory_order_relaxed) != 0; }
  // A number below `limit`, from the calling thread's own sequence.
  static std::uint64_t pick(std::uint64_t limit) noexcept;

 private:
  static void delay() noexcept;
  static std::atomic<unsigned> intensity_;
};

}  // namespace simgpu
