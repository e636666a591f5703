// A process id that came back belongs to another process: its counters are not compared.
#include "rate_meter.h"

#include <cstdio>

namespace vhbm::cli {

Rates Rates::between(const StatsSnapshot& before, const StatsSnapshot& after, double seconds) {
  const auto rate = [&](Stat stat) {
    return after[stat] < before[stat] || seconds <= 0
               ? 0
               : static_cast<double>(after[stat] - before[stat]) / seconds;
  };
  return {.seconds = seconds,
          .promoted_bytes = rate(Stat::promoted_bytes),
          .evicted_bytes = rate(Stat::evicted_bytes),
          .flips = rate(Stat::flips),
          .launches = rate(Stat::launches),
          .stall_share = rate(Stat::stall_ns) / 1e9};
}

std::string stats_json(const StatsSnapshot& snapshot, const std::optional<Rates>& rates) {
  std::string object = snapshot.to_json();
  if (!rates) return object;
  object.pop_back();
  char text[320];
  std::snprintf(text, sizeof text,
                ",\"rates\":{\"seconds\":%.3f,\"promoted_bytes_per_second\":%.0f,"
                "\"evicted_bytes_per_second\":%.0f,\"stall_share\":%.6f,\"flips_per_second\":%.3f,"
                "\"launches_per_second\":%.3f}}",
                rates->seconds, rates->promoted_bytes, rates->evicted_bytes, rates->stall_share,
                rates->flips, rates->launches);
  return object + text;
}

std::optional<Rates> RateMeter::look(const StatsSnapshot& snapshot, Clock::time_point now) {
  std::optional<Rates> rates;
  const std::pair key(snapshot.pid, snapshot.device);
  const auto before = seen_.find(key);
  if (before != seen_.end() && before->second.snapshot.started_at == snapshot.started_at) {
    const std::chrono::duration<double> passed = now - before->second.when;
    rates = Rates::between(before->second.snapshot, snapshot, passed.count());
  }
  seen_[key] = {snapshot, now};
  return rates;
}

}  // namespace vhbm::cli
