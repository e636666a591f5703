// The ledger of host memory a node: what other processes under vHBM, of the same state directory,
// may still page-lock by their host_limit. Whoever starts takes its own limit from what is left
// then; two that start in the same moment do not see each other. Locking: none; reads their
// statistics.
#pragma once

#include <string>

#include "runtime/host_memory.h"

namespace vhbm {

// `root` replaces "/" in tests.
[[nodiscard]] HostPromises promised_to_others(const std::string& state_directory,
                                              const std::string& root = "");

}  // namespace vhbm
