// Keeps room in HBM ahead of need: once it is filled above the high watermark, chunks leave until
// it is below the low one.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

// `situation` with what the watermarks demand: more that must leave, less that may come.
[[nodiscard]] Situation within_watermarks(Situation situation);

}  // namespace vhbm
