// Who descends from whom, by /proc.
#pragma once

#include <sys/types.h>

namespace vhbm::cli {

// True for `ancestor` itself too; false for a process that is gone.
[[nodiscard]] bool descends_from(pid_t process, pid_t ancestor);

}  // namespace vhbm::cli
