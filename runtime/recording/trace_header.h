// What stands at the beginning of a trace: who was recorded, on what, under which options and
// limits, as JSON in a frame that zstd skips, so that `zstd -dc` takes a trace as well. Locking:
// none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm::recording {

// Raised when a reader of before would misunderstand what is written now.
inline constexpr std::uint64_t trace_version = 1;

struct TraceHeader {
  std::uint64_t version = trace_version;
  std::int64_t pid = 0;
  std::string command;
  std::int64_t device = 0;  // as CUDA numbers it in that process
  std::string gpu;          // its name; empty where the driver does not say
  Bytes total;              // of its memory
  Bytes chunk_size;
  Bytes hbm_limit, host_limit, native;              // when the recording began
  std::uint64_t link_to_hbm = 0, link_to_host = 0;  // fastest so far, bytes a second; 0: not known
  std::int64_t started_at = 0;                      // seconds since 1970
  std::uint64_t clock_ns = 0;  // the steady clock when the recording began: time 0
  std::vector<std::pair<std::string, std::string>> options;  // all of them, as text

  // The option's text; empty when there is none of that name.
  [[nodiscard]] std::string option(std::string_view name) const;
  bool operator==(const TraceHeader&) const = default;
};

// The frame, whole.
[[nodiscard]] std::string written(const TraceHeader& header);

// Takes the header off the beginning of a file.
//   Errc::invalid_value  it is no trace, or one of another version; says at which byte, and why
[[nodiscard]] Result<TraceHeader> take_header(std::string_view& file);

}  // namespace vhbm::recording
