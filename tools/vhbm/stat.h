// `vhbm stat`: what the processes under vHBM count.
#pragma once

#include <sys/types.h>

#include <optional>

namespace vhbm::cli {

struct StatRequest {
  std::optional<pid_t> process;  // all of them without one
  bool json = false;
};

[[nodiscard]] int stat(const StatRequest& request);

}  // namespace vhbm::cli
