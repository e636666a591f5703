// Asks a process under vHBM to do something, for every command that steers.
#pragma once

#include <sys/types.h>

#include <string>

namespace vhbm::cli {

// Both return what came of it, in words for the user.
[[nodiscard]] std::string put_to_sleep(pid_t process);
[[nodiscard]] std::string wake_up(pid_t process);

}  // namespace vhbm::cli
