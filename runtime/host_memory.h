// How much memory this process may still page-lock without hurting its host. Locking: none.
#pragma once

#include <string>

#include "runtime/units.h"

namespace vhbm {

// The smaller of what the kernel calls available and what is left of the process's memory cgroup
// and its parents. `root` replaces "/" in tests. 0 when the kernel does not say.
[[nodiscard]] Bytes available_host_memory(const std::string& root = "");

}  // namespace vhbm
