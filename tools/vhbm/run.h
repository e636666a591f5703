// `vhbm run`: starts a program with the library in front of it.
#pragma once

#include <string>
#include <vector>

namespace vhbm::cli {

struct RunRequest {
  std::vector<std::string> command;
  std::vector<std::string> settings;  // "name=value"
  std::string summary;                // file; empty for none
};

// Does not return when no summary is asked for: the program takes this process's place. Otherwise
// the program's exit code, or 128 plus the signal that ended it.
[[nodiscard]] int run(const RunRequest& request);

}  // namespace vhbm::cli
