// What a process is told by NVML of the GPU that is paged is what CUDA tells it. The real function
// answers first: what is wrong with the call, it knows.
#include <unistd.h>

#include "interpose/nvml_scope.h"

namespace vhbm::interpose {
namespace {

template <typename Process>
NvmlResult running_processes(NvmlResult (*NvmlFunctions::*function)(NvmlDevice, unsigned*,
                                                                    Process*),
                             NvmlDevice device, unsigned* count, Process* processes) {
  const NvmlScope scope;
  const NvmlResult result = scope.call(function, device, count, processes);
  if (result != NvmlResult::success || processes == nullptr) return result;
  const auto told = scope.told(device);
  if (!told) return result;
  // Others' memory is as they hold it. In a container this process may go by another number there.
  for (Process* one = processes; one != processes + *count; ++one) {
    if (one->pid != static_cast<unsigned>(getpid())) continue;
    if (one->used_gpu_memory != nvml_not_available) one->used_gpu_memory = told->live.value;
  }
  return result;
}

}  // namespace

extern "C" {

NvmlResult nvmlDeviceGetMemoryInfo(NvmlDevice device, NvmlMemory* memory) {
  const NvmlScope scope;
  const NvmlResult result = scope.call(&NvmlFunctions::nvmlDeviceGetMemoryInfo, device, memory);
  if (result != NvmlResult::success) return result;
  if (const auto told = scope.told(device)) {
    *memory = {told->total.value, told->free.value, (told->total - told->free).value};
  }
  return result;
}

NvmlResult nvmlDeviceGetMemoryInfo_v2(NvmlDevice device, NvmlMemoryV2* memory) {
  const NvmlScope scope;
  const NvmlResult result = scope.call(&NvmlFunctions::nvmlDeviceGetMemoryInfo_v2, device, memory);
  if (result != NvmlResult::success) return result;
  if (const auto told = scope.told(device)) {
    *memory = {memory->version, told->total.value, 0, told->free.value,
               (told->total - told->free).value};
  }
  return result;
}

NvmlResult nvmlDeviceGetComputeRunningProcesses(NvmlDevice device, unsigned* count,
                                                NvmlProcessV1* processes) {
  return running_processes(&NvmlFunctions::nvmlDeviceGetComputeRunningProcesses, device, count,
                           processes);
}

NvmlResult nvmlDeviceGetComputeRunningProcesses_v2(NvmlDevice device, unsigned* count,
                                                   NvmlProcessV2* processes) {
  return running_processes(&NvmlFunctions::nvmlDeviceGetComputeRunningProcesses_v2, device, count,
                           processes);
}

NvmlResult nvmlDeviceGetComputeRunningProcesses_v3(NvmlDevice device, unsigned* count,
                                                   NvmlProcessV2* processes) {
  return running_processes(&NvmlFunctions::nvmlDeviceGetComputeRunningProcesses_v3, device, count,
                           processes);
}

}  // extern "C"
}  // namespace vhbm::interpose
