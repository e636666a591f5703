// A trace, taken in: the workload that can be played again, and what really happened beside it.
// Locking: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replay/workload.h"
#include "runtime/recording/record.h"
#include "runtime/recording/trace_header.h"
#include "runtime/status.h"

namespace vhbm::replay {

// What the recorded process did under its own policy and limits.
struct Happened {
  std::uint64_t uses = 0, chunk_uses = 0, hits = 0, misses = 0;
  Bytes used, in_place, moved_in, moved_out, copied_out;
  std::uint64_t flips = 0, given_up = 0, guard_verdicts = 0, closures = 0;
  std::uint64_t seen = 0, foreseen = 0;
  std::uint64_t gate_waits = 0;
  std::chrono::nanoseconds gate_waited{0};
  std::chrono::nanoseconds time{0}, stall{0};
};

struct Recorded {
  recording::TraceHeader header;
  std::vector<recording::Record> records;  // all of them
  Workload workload;
  Happened happened;
  std::uint64_t link_to_hbm = 0, link_to_host = 0;  // fastest that was seen; 0: none was
  std::uint64_t left_out = 0;                       // records that the recorder had no room for
  std::uint64_t unknown = 0;                        // records of a later version
  std::optional<std::string> cut_off;               // why the trace ends before its recording did
  std::uint64_t lanes = 0;                          // threads that used something
};

//   Errc::system_error, Errc::invalid_value, Errc::bytes_corrupted  names the file, the byte and
//   what is wrong
[[nodiscard]] Result<Recorded> read_recorded(const std::string& path);

}  // namespace vhbm::replay
