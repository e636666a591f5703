// The processes that NVML says compute on a GPU: also those that this user may not look into.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace vhbm::cli {

// Device memory by process, over all GPUs; 0 where NVML does not say how much. NVML is asked in a
// process of its own, within `limit`. Empty, with the reason, where it gives no answer.
[[nodiscard]] std::map<pid_t, std::uint64_t> nvml_processes(std::chrono::milliseconds limit,
                                                            std::string* why_not);

}  // namespace vhbm::cli
