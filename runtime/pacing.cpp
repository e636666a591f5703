#include "runtime/pacing.h"

namespace vhbm {
namespace {

// How far patience with a drain may grow beyond what was configured.
constexpr int most_patience = 16;
constexpr std::uint64_t flips_in_a_sample = 8;
constexpr std::chrono::seconds most_saved{1};  // of time in which the gate stayed open

}  // namespace

Bytes spare_of(const Options& options, Bytes hbm_limit, Bytes chunk) {
  const Bytes spare = std::min(Bytes{hbm_limit.value / 16}, most_in_flip(options, hbm_limit));
  return {std::max(spare, chunk).value / chunk.value * chunk.value};
}

Bytes most_in_flip(const Options& options, Bytes hbm_limit) {
  return options.flip_size.resolve(hbm_limit, mib(64));
}

Bytes guard_sample(const Options& options, Bytes hbm_limit) {
  return std::min(most_in_flip(options, hbm_limit) * flips_in_a_sample, Bytes{hbm_limit.value / 4});
}

Situation bounded_by(const Options& options, Bytes hbm_limit, const HbmRoom& room, bool guarded) {
  Situation made;
  const Bytes most = most_in_flip(options, hbm_limit);
  made.must_leave = room.frame * room.owed;
  made.free_hbm = room.frame * frames_left(room.left, room.spare);
  made.most_promotions = guarded ? Bytes{} : std::min(most, room.frame * room.left);
  made.most_evictions = most;
  const auto share = [&](Percent percent) {
    return percent.value == 100 ? Bytes{UINT64_MAX}
                                : Size::percent(percent.value).resolve(hbm_limit, {});
  };
  made.watermarks = {share(options.high_watermark), share(options.low_watermark)};
  return made;
}

Plan take_flip(Plan& rest, const Options& options, Bytes hbm_limit, Bytes frame, std::size_t left) {
  const std::size_t most =
      std::max<std::size_t>(most_in_flip(options, hbm_limit).value / frame.value, 1);
  const auto take = [](std::vector<ChunkId>& from, std::size_t count) {
    const auto end = from.begin() + static_cast<std::ptrdiff_t>(std::min(count, from.size()));
    std::vector<ChunkId> taken(from.begin(), end);
    from.erase(from.begin(), end);
    return taken;
  };
  return {take(rest.promote, std::min(most, left)), take(rest.evict, most), rest.memory,
          rest.at_once};
}

std::int64_t stall_share(const Options& options) {
  return std::max<std::int64_t>(static_cast<std::int64_t>(options.stall_limit.value), 1);
}

SavedStall::Time SavedStall::at(Time now, std::int64_t share) const {
  return std::clamp<Time>(now - spent_until_, Time(0), most_saved) * share / 100;
}

Bytes SavedStall::worth(Time now, std::int64_t share, double rate) const {
  const std::chrono::duration<double> saved = at(now, share);
  return {static_cast<std::uint64_t>(saved.count() * rate)};
}

void SavedStall::spend(Time stall, Time now, std::int64_t share) {
  spent_until_ = std::max<Time>(spent_until_, now - stall - most_saved) + stall * 100 / share;
}

std::chrono::nanoseconds rest_after(std::chrono::nanoseconds stall, std::int64_t share) {
  return stall * (100 - share) / share;
}

std::chrono::nanoseconds patience_after_deadline(std::chrono::nanoseconds patience,
                                                 std::chrono::nanoseconds least) {
  return std::min(patience * 2, least * most_patience);
}

std::chrono::nanoseconds patience_after_drain(std::chrono::nanoseconds drained_in,
                                              std::chrono::nanoseconds least) {
  return std::clamp(drained_in * 2, least, least * most_patience);
}

}  // namespace vhbm
