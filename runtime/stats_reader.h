// The reader's side of the shared statistics, for the command line. Needs nothing of the runtime
// but its table. Locking: none; values are read one by one and may be a moment apart.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/stats.h"

namespace vhbm {

// Of one device of one process.
struct StatsSnapshot {
  pid_t pid = 0;
  int device = 0;
  std::int64_t started_at = 0;
  std::string command;
  FreezeCause frozen = FreezeCause::none;
  std::array<std::uint64_t, stat_count> values{};

  [[nodiscard]] std::uint64_t operator[](Stat stat) const {
    return values[static_cast<std::size_t>(stat)];
  }
  // One object; values in bytes, nanoseconds and counts, and who froze it: null, "request" or
  // "invariant".
  [[nodiscard]] std::string to_json() const;
};

// Every device of every living process under `directory`, by process id and device; files of dead
// ones are skipped, and those of another version of the table are named in `unreadable`.
[[nodiscard]] std::vector<StatsSnapshot> read_live_stats(
    const std::string& directory, std::vector<std::string>* unreadable = nullptr);

// The last statistics of one process, living or ended, by device: its files stay until the next
// process of this user cleans up. Those of another version are left out.
[[nodiscard]] std::vector<StatsSnapshot> read_last_stats(const std::string& directory, pid_t pid);

}  // namespace vhbm
