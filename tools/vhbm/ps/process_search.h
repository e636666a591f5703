// Finds the processes that use a GPU, and tells how each stands to vHBM.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gpu_process.h"
#include "proc_folder.h"

namespace vhbm::cli {

struct SearchPlaces {
  ProcFolder proc;
  std::string state_directory;
  std::map<pid_t, std::uint64_t> nvml;  // bytes by process, as NVML lists them
};

struct Found {
  std::vector<GpuProcess> processes;    // parents before their children
  std::vector<std::string> unreadable;  // statistics of another version
  std::size_t closed = 0;               // processes that this user may not look into
};
[[nodiscard]] Found find_gpu_processes(const SearchPlaces& places);

}  // namespace vhbm::cli
