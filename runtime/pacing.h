// How much the pager may move, and when: the arithmetic of its bounds, as functions of values, for
// the pager itself and for who plays a recorded past again. The same values give the same answer;
// no driver, no clock, no lock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "runtime/options.h"
#include "runtime/residency.h"
#include "runtime/units.h"

namespace vhbm {

// Of `most` frames `used` are in use.
[[nodiscard]] constexpr std::size_t frames_left(std::size_t most, std::size_t used) {
  return most > used ? most - used : 0;
}
// How many chunks have to leave HBM: so that the limit holds, and so that `spare` frames are free,
// as far as the host has room for them.
[[nodiscard]] constexpr std::size_t frames_owed(std::size_t most, std::size_t used,
                                                std::size_t spare, std::size_t host_left) {
  if (used > most) return used - most;
  const std::size_t left = most - used;
  return left < spare ? std::min(spare - left, host_left) : 0;
}
// Frames are kept free for what comes as long as they cannot hold all that is outside of HBM: else
// that comes into them, and nothing is left to come.
[[nodiscard]] constexpr std::size_t frames_to_spare(std::size_t spare, std::size_t left,
                                                    std::size_t outside) {
  return outside <= left ? 0 : spare;
}
// HBM that is kept free for what comes: a sixteenth, at most a flip's worth, at least a chunk.
[[nodiscard]] Bytes spare_of(const Options& options, Bytes hbm_limit, Bytes chunk);

// What one flip moves at most in each direction.
[[nodiscard]] Bytes most_in_flip(const Options& options, Bytes hbm_limit);
// What the thrash guard judges by: several flips' worth, or a quarter of HBM where that is less.
[[nodiscard]] Bytes guard_sample(const Options& options, Bytes hbm_limit);

// The room in HBM, in frames.
struct HbmRoom {
  Bytes frame;
  std::size_t left = 0;   // all that is free
  std::size_t spare = 0;  // of it, kept for what comes
  std::size_t owed = 0;
};
// A situation with its bounds set, but neither candidates nor time. `guarded`: the thrash guard
// holds back what would come.
[[nodiscard]] Situation bounded_by(const Options& options, Bytes hbm_limit, const HbmRoom& room,
                                   bool guarded);

// Takes off the front of what remains of a plan what one flip moves, where so many frames are left.
[[nodiscard]] Plan take_flip(Plan& rest, const Options& options, Bytes hbm_limit, Bytes frame,
                             std::size_t left);

// stall_limit in percent, and never 0: a flip now and then there has to be.
[[nodiscard]] std::int64_t stall_share(const Options& options);

// How long the gate stays open after it was closed for `stall`, for it to be closed for at most
// `share` percent of the time.
[[nodiscard]] std::chrono::nanoseconds rest_after(std::chrono::nanoseconds stall,
                                                  std::int64_t share);
// What of that share was not used lately, to be used at once: at most what a second allows.
class SavedStall {
 public:
  using Time = std::chrono::nanoseconds;  // since any one moment

  [[nodiscard]] Time at(Time now, std::int64_t share) const;
  // The gate was closed for `stall` until now.
  void spend(Time stall, Time now, std::int64_t share);
  // What comes over a link of that rate meanwhile; in bytes a second.
  [[nodiscard]] Bytes worth(Time now, std::int64_t share, double rate) const;
  // Until then nothing is saved.
  [[nodiscard]] Time spent_until() const { return spent_until_; }

 private:
  Time spent_until_{0};
};

// How long the next flip waits for a quiet GPU, after one that was given up, or that waited so long
// for it.
[[nodiscard]] std::chrono::nanoseconds patience_after_deadline(std::chrono::nanoseconds patience,
                                                               std::chrono::nanoseconds least);
[[nodiscard]] std::chrono::nanoseconds patience_after_drain(std::chrono::nanoseconds drained_in,
                                                            std::chrono::nanoseconds least);

}  // namespace vhbm
