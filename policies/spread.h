// Shares HBM out over a cycle of weights that it does not hold: of each region the same part stays,
// and the rest is read in place. So each kernel reads from both, and the link is busy through the
// whole step; where whole regions stayed and whole regions did not, it would have nothing to do
// during the former, and the kernels wait for it during the latter. That a kernel reads from HBM
// and over the link at once is assumed.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

// Nothing where the parts are nearly equal already.
[[nodiscard]] Plan plan_spread(const Situation& situation);

}  // namespace vhbm
