// A recording as a timeline that Perfetto and Chrome open: the trace-event format, in JSON. Uses by
// thread, flips with their phases, closures of the launch gate, what the thrash guard and sleeps
// did, where the regions are as counters, and kernels by stream where they were recorded. Locking:
// none.
#pragma once

#include <string>

#include "replay/recorded.h"
#include "runtime/status.h"

namespace vhbm::replay {

//   Errc::system_error  the file cannot be written; says why
[[nodiscard]] Status write_timeline(const Recorded& recorded, const std::string& path);

}  // namespace vhbm::replay
