// Least recently used: good where recent use foretells the next, poor where uses come in a cycle
// that is larger than HBM.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

[[nodiscard]] Plan plan_lru(const Situation& situation);

}  // namespace vhbm
