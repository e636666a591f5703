// What is used often stays, however long ago the last time was: a scan over much that is used once
// does not push out what is used all the time.
#pragma once

#include "runtime/residency.h"

namespace vhbm {

[[nodiscard]] Plan plan_frequency(const Situation& situation);

}  // namespace vhbm
