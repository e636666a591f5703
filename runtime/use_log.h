// What submitted work uses, region by region, on its way from the hooks to the pager. A ring: who
// adds never waits, and what is not read in time is overwritten, which the reader notices.
// Invariant: a word is one whole use and says in which lap it was written, so nothing is read that
// was not. Locking: none; any number of writers, one reader.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "runtime/status.h"

namespace vhbm {

// A lane is a thread that submits work; threads far apart may share one.
struct Use {
  std::uint32_t region;
  std::uint8_t lane;
};

class UseLog {
 public:
  static constexpr std::uint64_t capacity = 1 << 16;

  UseLog() = default;
  ~UseLog();
  UseLog(const UseLog&) = delete;
  UseLog& operator=(const UseLog&) = delete;

  // Before anything is added; memory is taken as it is written.
  [[nodiscard]] Status reserve();

  // Hot. Work that this thread submits uses these regions, in this order.
  void add(std::span<const std::uint32_t> regions) noexcept {
    std::uint64_t at = end_.fetch_add(regions.size(), std::memory_order_relaxed);
    const std::uint64_t lane = this_lane();
    for (const std::uint32_t region : regions) {
      words_[at % capacity].store(lap_of(at) << lap_shift | lane << lane_shift | region,
                                  std::memory_order_relaxed);
      ++at;
    }
  }

  // Hands over what was added since the last time, in order. False when some of it was lost.
  template <typename Take>
  [[nodiscard]] bool read(Take&& take) {
    const std::uint64_t end = end_.load(std::memory_order_relaxed);
    bool whole = end - read_ <= capacity;
    if (!whole) read_ = end - capacity / 2;
    while (read_ != end) {
      const std::uint64_t word = words_[read_ % capacity].load(std::memory_order_relaxed);
      const std::uint64_t lap = word >> lap_shift;
      if (lap < lap_of(read_)) break;  // its writer is not that far yet
      if (lap == lap_of(read_)) {
        take(Use{static_cast<std::uint32_t>(word & region_mask),
                 static_cast<std::uint8_t>(word >> lane_shift & 0xff)});
      } else {
        whole = false;
      }
      ++read_;
    }
    return whole;
  }

 private:
  static constexpr unsigned lane_shift = 28, lap_shift = 36;
  static constexpr std::uint64_t region_mask = (1u << lane_shift) - 1;
  // Counted from 1: a word that was never written is of lap 0. The bits last for 2^44 uses.
  [[nodiscard]] static constexpr std::uint64_t lap_of(std::uint64_t at) {
    return at / capacity + 1;
  }
  [[nodiscard]] static std::uint8_t this_lane() noexcept {
    [[gnu::tls_model("initial-exec")]] static thread_local constinit std::uint16_t mine = 0;
    if (mine == 0) mine = new_lane();
    return static_cast<std::uint8_t>(mine);
  }
  [[nodiscard]] static std::uint16_t new_lane() noexcept;

  std::atomic<std::uint64_t>* words_ = nullptr;
  alignas(64) std::atomic<std::uint64_t> end_{0};
  alignas(64) std::uint64_t read_ = 0;  // the reader's
};

}  // namespace vhbm
