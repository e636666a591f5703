// What `vhbm run` says before a program starts: which server that is, the limits that hold and
// where they come from, what the program is told, and what would help.
#pragma once

#include <string>
#include <vector>

#include "runtime/options.h"
#include "runtime/units.h"

namespace vhbm::cli {

// Lines that begin with "vhbm: ". `available` is the host memory that can be page-locked now.
[[nodiscard]] std::string banner(const std::vector<std::string>& command, const Options& options,
                                 Bytes available);

}  // namespace vhbm::cli
