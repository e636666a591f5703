// The options of this process, read once: when it first asks for memory of a GPU, be it of CUDA or
// of NVML. So nothing that it is told later differs because its environment, its file or the host's
// free memory changed. Locking: none, since a process may be forked at any moment.
#pragma once

#include "runtime/options.h"

namespace vhbm::interpose {

// A forked child reads its own. nullptr where there is no memory for them. What is told before the
// runtime starts must hold afterwards: with `report = virtual` the host's limit is a number of
// bytes.
[[nodiscard]] const Result<Options>* process_options() noexcept;

}  // namespace vhbm::interpose
