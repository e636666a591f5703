// Sends this process to sleep, as `vhbm sleep` does.
#pragma once

#include <chrono>

namespace stress {

// Its work cannot wake it for `hold`. Whether it fell asleep does not matter; an answer that does
// not come is harm.
void fall_asleep(std::chrono::milliseconds hold);

}  // namespace stress
