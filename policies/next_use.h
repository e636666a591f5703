// Belady's order, as far as the future is known: what is used again last leaves first. Where a step
// comes in a cycle that is larger than HBM, every chunk is as good as another, and to exchange them
// would cost what it saves: so a newcomer comes for a victim only if it is used twice before the
// victim is used once. A cycle keeps a fixed part of itself in HBM, the same of each region, and
// reads the rest in place; a phase that is repeated comes as the one before it ends, at
// once as far as that may be. Without a future, as lru.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

[[nodiscard]] Plan plan_next_use(const Situation& situation);

}  // namespace vhbm
