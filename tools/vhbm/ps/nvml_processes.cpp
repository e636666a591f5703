// Names and layouts are those of nvml.h (NVML API Reference, R580), which a CUDA Toolkit need not
// bring.
#include "nvml_processes.h"

#include <dlfcn.h>

#include <cstdio>
#include <sstream>
#include <vector>

#include "child_process.h"

namespace vhbm::cli {
namespace {

constexpr int success = 0, insufficient_size = 7;
constexpr int no_library = 3;  // the child's exit code
constexpr unsigned long long not_available = ~0ull;

struct ProcessInfo {  // nvmlProcessInfo_v2_t, which the function's third version takes too
  unsigned int pid;
  unsigned long long used;
  unsigned int gpu_instance, compute_instance;
};
using Device = struct NvmlDevice*;

template <typename Function>
Function* find(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// A line a process and GPU: its id, and its bytes.
int list_processes(std::FILE* out, int) {
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  if (library == nullptr) return no_library;
  const auto initialize = find<int()>(library, "nvmlInit_v2");
  const auto count_gpus = find<int(unsigned*)>(library, "nvmlDeviceGetCount_v2");
  const auto gpu_at = find<int(unsigned, Device*)>(library, "nvmlDeviceGetHandleByIndex_v2");
  using List = int(Device, unsigned*, ProcessInfo*);
  auto list = find<List>(library, "nvmlDeviceGetComputeRunningProcesses_v3");
  if (list == nullptr) list = find<List>(library, "nvmlDeviceGetComputeRunningProcesses_v2");
  unsigned gpus = 0;
  if (initialize == nullptr || count_gpus == nullptr || gpu_at == nullptr || list == nullptr ||
      initialize() != success || count_gpus(&gpus) != success) {
    return 1;
  }
  for (unsigned i = 0; i < gpus; ++i) {
    Device gpu = nullptr;
    if (gpu_at(i, &gpu) != success) continue;
    std::vector<ProcessInfo> infos(64);
    auto count = static_cast<unsigned>(infos.size());
    int result = list(gpu, &count, infos.data());
    for (int attempt = 0; result == insufficient_size && attempt < 5; ++attempt) {
      // More may begin meanwhile.
      infos.resize(count + 64);
      count = static_cast<unsigned>(infos.size());
      result = list(gpu, &count, infos.data());
    }
    if (result != success) continue;
    for (unsigned process = 0; process < count; ++process) {
      const ProcessInfo& info = infos[process];
      std::fprintf(out, "%u %llu\n", info.pid, info.used == not_available ? 0 : info.used);
    }
  }
  return 0;
}

}  // namespace

std::map<pid_t, std::uint64_t> nvml_processes(std::chrono::milliseconds limit,
                                              std::string* why_not) {
  const ChildOutcome outcome = run_in_child(list_processes, 0, limit);
  std::map<pid_t, std::uint64_t> processes;
  if (outcome.end == ChildOutcome::End::exited && outcome.code == 0) {
    std::istringstream lines(outcome.output);
    pid_t process = 0;
    for (std::uint64_t bytes = 0; lines >> process >> bytes;) processes[process] += bytes;
    return processes;
  }
  *why_not = outcome.end == ChildOutcome::End::exited && outcome.code == no_library
                 ? "there is no libnvidia-ml.so.1"
                 : "NVML " + (outcome.end == ChildOutcome::End::exited ? "gives no answer"
                                                                       : outcome.trouble());
  return processes;
}

}  // namespace vhbm::cli
