// Clock, or second chance: a hand sweeps over the chunks in HBM and evicts those that were not used
// since the sweep began. Cheaper than exact recency, and fairer to chunks that are used in turn.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

[[nodiscard]] Plan plan_clock(const Situation& situation);

}  // namespace vhbm
