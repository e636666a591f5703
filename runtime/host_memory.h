// How much memory this process may still page-lock without hurting its host. Locking: none.
#pragma once

#include <string>

#include "runtime/units.h"

namespace vhbm {

// Memory that others will take: of the whole node, and of this process's cgroup.
struct HostPromises {
  Bytes node, cgroup;
};

// The smaller of what the kernel calls available and what is left of the process's memory cgroup
// and its parents, less what is promised of each, or an eighth of it. `root` replaces "/" in tests.
// 0 when the kernel does not say.
[[nodiscard]] Bytes available_host_memory(const HostPromises& promised = {},
                                          const std::string& root = "");

}  // namespace vhbm
