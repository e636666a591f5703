// Root may look at any user's process: what is shared then lies in that user's directory.
#include "watched_processes.h"

#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "exit_code.h"
#include "runtime/options.h"
#include "runtime/shared_file.h"

namespace vhbm::cli {

std::optional<std::string> shared_directory(std::optional<pid_t> process) {
  const auto options = Options::from_environment();
  if (!options.ok()) {
    std::fprintf(stderr, "vhbm: %s\n", options.status().message().c_str());
    return std::nullopt;
  }
  struct stat owner {};
  if (process && options->state_dir.empty() &&
      ::stat(("/proc/" + std::to_string(*process)).c_str(), &owner) == 0) {
    return "/dev/shm/vhbm-" + std::to_string(owner.st_uid);
  }
  return state_directory(options->state_dir);
}

int tell_no_process(std::optional<pid_t> process, const std::string& directory) {
  if (!process) {
    std::fprintf(stderr, "vhbm: no process of this user runs under vHBM (looked in %s)\n",
                 directory.c_str());
  } else if (*process <= 0 || (kill(*process, 0) != 0 && errno == ESRCH)) {
    std::fprintf(stderr, "vhbm: there is no process %d\n", static_cast<int>(*process));
  } else {
    std::fprintf(stderr,
                 "vhbm: process %d does not run under vHBM, or has not used a GPU yet (looked in "
                 "%s)\n",
                 static_cast<int>(*process), directory.c_str());
  }
  return exit_no_process;
}

void tell_unreadable(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::fprintf(stderr, "vhbm: %s is of another version of vHBM and is left out\n", file.c_str());
  }
}

}  // namespace vhbm::cli
