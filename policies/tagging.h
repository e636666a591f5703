// What a region holds, by evidence: how it was filled, used and changed. To be overruled by the
// configuration's rules, and never trusted with the bytes.
#pragma once

#include "runtime/region_history.h"
#include "runtime/tag.h"

namespace vhbm {

[[nodiscard]] TagGuess guess_tag(const RegionHistory& history);

}  // namespace vhbm
