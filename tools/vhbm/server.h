// Which server a command line starts.
#pragma once

#include <string>
#include <vector>

namespace vhbm::cli {

struct ServerKind {
  const char *name, *word, *advice;
};
// nullptr for a command that is not known.
[[nodiscard]] const ServerKind* recognised(const std::vector<std::string>& command);

// A short name for a process: its program's, or that of the module or script that Python runs.
[[nodiscard]] std::string program_name(const std::string& command);

}  // namespace vhbm::cli
