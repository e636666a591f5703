// Which processes a command is about, where their shared files are, and what is said when there are
// none: alike for all commands that watch or steer.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vhbm::cli {

// Where the processes of this user, or that one process, share their files. nullopt, and said why,
// when the options in the environment are not accepted.
[[nodiscard]] std::optional<std::string> shared_directory(std::optional<pid_t> process);

// Says on stderr why there is nothing to show; the exit code.
int tell_no_process(std::optional<pid_t> process, const std::string& directory);
// One line a file that this command cannot read.
void tell_unreadable(const std::vector<std::string>& files);

}  // namespace vhbm::cli
