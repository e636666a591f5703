// The table is the library's own, so a new statistic shows without a change here.
#include "stat_text.h"

#include <algorithm>
#include <ctime>

#include "quantity.h"
#include "runtime/host_memory.h"
#include "terminal.h"

namespace vhbm::cli {
namespace {

constexpr int cells = 20;

std::string used_of(const char* what, std::uint64_t used, std::uint64_t limit) {
  char line[160];
  std::snprintf(line, sizeof line, "  %-9s %s %3u%%  %s of %s", what,
                bar(used, limit, cells).c_str(), percent(used, limit), bytes_text(used).c_str(),
                bytes_text(limit).c_str());
  return line;
}

std::string headline(const StatsSnapshot& snapshot, std::FILE* stream) {
  std::string text = "process " + std::to_string(snapshot.pid);
  if (snapshot.device != 0) text += ", device " + std::to_string(snapshot.device);
  text += "  " + printable(snapshot.command);
  const std::int64_t seconds = std::max<std::int64_t>(std::time(nullptr) - snapshot.started_at, 0);
  const std::string up =
      "  up " + duration_text(static_cast<std::uint64_t>(seconds) * 1'000'000'000);
  return text + (seconds == 0 ? "" : painted(up, Colour::dim, stream)) + "\n";
}

std::string sleeping(const StatsSnapshot& snapshot, std::FILE* stream) {
  const std::uint64_t sleeps = snapshot[Stat::sleeps];
  if (sleeps == 0) return {};
  if (snapshot[Stat::asleep] != 0) {
    const std::uint64_t stayed = snapshot[Stat::stayed_bytes];
    return "  asleep    " +
           painted("for " + duration_text(snapshot[Stat::asleep_ns]), Colour::green, stream) +
           ", " + bytes_text(snapshot[Stat::left_bytes]) + " left HBM in " +
           duration_text(snapshot[Stat::fall_asleep_ns]) +
           (stayed == 0 ? "" : ", " + bytes_text(stayed) + " stay there") + "\n";
  }
  return "  awake     slept " + std::to_string(sleeps) + " times, " +
         duration_text(snapshot[Stat::slept_ns]) + " in all; woke last in " +
         duration_text(snapshot[Stat::wake_ns]) + " with " +
         bytes_text(snapshot[Stat::woken_bytes]) + " in HBM, all back in " +
         duration_text(snapshot[Stat::return_ns]) + "\n";
}

std::string sharing(const StatsSnapshot& snapshot, std::FILE* stream) {
  if (snapshot[Stat::granted_bytes] == 0) return {};
  const std::uint64_t turns = snapshot[Stat::turns];
  return "  shares    its GPU: " + bytes_text(snapshot[Stat::granted_bytes]) + " of HBM granted" +
         (turns == 0 ? "" : ", had its turn " + std::to_string(turns) + " times") +
         (snapshot[Stat::waits_for_turn] == 0
              ? ""
              : ", " + painted("waits for its turn", Colour::red, stream)) +
         "\n";
}

std::string paging(const StatsSnapshot& snapshot, std::FILE* stream) {
  switch (snapshot.frozen) {
    case FreezeCause::none:
      if (snapshot[Stat::thrash_guard] == 0) {
        return "  paging    " + painted("on", Colour::green, stream) + "\n";
      }
      return "  paging    " + painted("held back by the thrash guard", Colour::red, stream) +
             ": of what came to HBM, " + bytes_text(snapshot[Stat::moved_in_vain_bytes]) +
             " left again before it was used twice\n";
    case FreezeCause::mps:
      return "  paging    " + painted("frozen: MPS shares this GPU", Colour::red, stream) +
             ", see flip_under_mps; nothing moves\n";
    case FreezeCause::request:
      return "  paging    " + painted("frozen by vhbm off", Colour::red, stream) +
             ": nothing moves any more\n";
    case FreezeCause::invariant:
      break;
  }
  return "  paging    " + painted("frozen: an invariant broke", Colour::red, stream) +
         ", see the process's log; nothing moves any more\n";
}

// Of KV caches whose blocks in use are known.
std::string kv(const StatsSnapshot& snapshot, const std::string& advice, std::FILE* stream) {
  if (snapshot[Stat::kv_bytes] == 0) return {};
  std::string text = used_of("KV", snapshot[Stat::kv_used_bytes], snapshot[Stat::kv_bytes]) +
                     " in use, in " + bytes_text(snapshot[Stat::kv_touched_bytes]) +
                     " of chunks; density in HBM " +
                     std::to_string(percent(snapshot[Stat::kv_resident_used_bytes],
                                            snapshot[Stat::kv_resident_bytes])) +
                     "%\n";
  if (snapshot[Stat::kv_scattered] == 0) return text;
  text +=
      "            " +
      painted("scattered: the chunks in use do not fit into HBM, and moving them is of little use",
              Colour::red, stream) +
      "\n";
  if (!advice.empty()) text += "            what cures it, " + printable(advice) + "\n";
  return text;
}

}  // namespace

std::string stat_text(const StatsSnapshot& snapshot, const Rates* rates, bool all,
                      const std::string& advice, std::FILE* stream) {
  std::string text = headline(snapshot, stream) + paging(snapshot, stream) +
                     sleeping(snapshot, stream) + sharing(snapshot, stream);
  text += used_of("HBM", snapshot[Stat::hbm_bytes], snapshot[Stat::hbm_limit]) + ", peak " +
          bytes_text(snapshot[Stat::peak_hbm_bytes]) + "\n";
  text += used_of("host", snapshot[Stat::host_bytes], snapshot[Stat::host_limit]) + ", " +
          bytes_text(available_host_memory().value) + " more could be page-locked here\n";
  text += used_of("regions", snapshot[Stat::resident_bytes],
                  snapshot[Stat::resident_bytes] + snapshot[Stat::host_mapped_bytes]) +
          " in HBM, " + std::to_string(snapshot[Stat::regions]) + " regions\n";
  text += used_of("in use", snapshot[Stat::working_set_bytes], snapshot[Stat::hbm_limit]) +
          " of HBM, named within the last second\n";
  text += kv(snapshot, advice, stream);
  char line[320];
  if (rates != nullptr) {
    const auto in_gigabytes = [&](Stat stat) { return static_cast<double>(snapshot[stat]) / 1e9; };
    std::snprintf(
        line, sizeof line,
        "  now       %.2f GB/s promoted (%.2f at best), %.2f GB/s evicted (%.2f at best), "
        "gate closed %.1f%% of the time, %.0f flips/s, %.0f launches/s\n",
        rates->promoted_bytes / 1e9, in_gigabytes(Stat::link_to_hbm), rates->evicted_bytes / 1e9,
        in_gigabytes(Stat::link_to_host), rates->stall_share * 100, rates->flips, rates->launches);
    text += line;
  }
  text += "\n";
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < stat_count; ++i) {
    if (snapshot.values[i] == 0 && !all) {
      ++zeros;
      continue;
    }
    std::snprintf(line, sizeof line, "  %-26s %14s  ", stat_rows[i].name,
                  value_text(snapshot.values[i], stat_rows[i].unit).c_str());
    text += line + painted(stat_rows[i].text, Colour::dim, stream) + "\n";
  }
  if (zeros != 0) {
    text += painted("  " + std::to_string(zeros) + " more are 0; --all shows them\n", Colour::dim,
                    stream);
  }
  return text;
}

}  // namespace vhbm::cli
