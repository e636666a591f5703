// What a waking process waits for: what whoever woke it named, then what its last step used, in
// the order of the next. KV is left where it is, since a step reads a little of it, and once: that
// costs no more in place. Without any evidence it waits for nothing.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

[[nodiscard]] std::vector<ChunkId> wake_order(const Waking& waking);

}  // namespace vhbm
