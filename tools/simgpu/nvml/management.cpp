// The management library's view of the simulated machine: every GPU, whatever CUDA_VISIBLE_DEVICES
// says, by the settings that the simulated driver reads. Where processes share the machine, its
// file tells who holds what; otherwise what is used is what this process holds, as its driver
// counts it: nothing before cuInit. Locking: one mutex around the count of initialisations; the
// machine itself never changes.
#include <cuda.h>
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "identity.h"
#include "memory/machine_file.h"
#include "memory/physical_pool.h"
#include "options.h"
#include "simgpu/control.h"
#include "simgpu/nvml.h"

struct nvmlDevice_st {
  unsigned index;
  simgpu::Identity identity;
  std::uint64_t total;
};

namespace {

using simgpu::MachineFile;
using Devices = std::vector<nvmlDevice_st>;

std::mutex mutex;
unsigned initialised = 0;
// Made at the first initialisation and kept as long as the library, since handles point into it.
std::unique_ptr<const Devices> machine;
MachineFile* shared_machine = nullptr;  // likewise; null where processes share nothing

std::unique_ptr<const Devices> make_machine() {
  simgpu::Options options;
  std::string error;
  if (!options.read_environment(&error)) {
    std::fprintf(stderr, "simgpu: %s\n", error.c_str());
    return nullptr;
  }
  if (!options.machine.empty()) {
    shared_machine = MachineFile::open(options.machine, &error).release();
    if (shared_machine == nullptr) {
      std::fprintf(stderr, "simgpu: SIMGPU_MACHINE: %s\n", error.c_str());
      return nullptr;
    }
  }
  auto made = std::make_unique<Devices>();
  for (std::size_t i = 0; i < options.devices; ++i) {
    made->push_back({static_cast<unsigned>(i), simgpu::Identity(i),
                     options.hbm / simgpu::kPageSize * simgpu::kPageSize});
  }
  return made;
}

// nullptr while the library is not initialised.
const Devices* devices() {
  std::lock_guard lock(mutex);
  return initialised == 0 ? nullptr : machine.get();
}

nvmlReturn_t check(nvmlDevice_t device, const void* out) {
  const Devices* all = devices();
  if (all == nullptr) return NVML_ERROR_UNINITIALIZED;
  for (const nvmlDevice_st& one : *all) {
    if (&one == device) return out == nullptr ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
  }
  return NVML_ERROR_INVALID_ARGUMENT;
}

template <typename Matches>
nvmlReturn_t find(nvmlDevice_t* out, Matches&& matches) {
  const Devices* all = devices();
  if (all == nullptr) return NVML_ERROR_UNINITIALIZED;
  if (out == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (const nvmlDevice_st& one : *all) {
    if (!matches(one)) continue;
    *out = const_cast<nvmlDevice_t>(&one);
    return NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t write_text(const std::string& text, char* out, unsigned length) {
  if (length <= text.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return NVML_SUCCESS;
}

// What this process's driver gave out on that GPU; the driver is asked where it is loaded.
std::uint64_t used_of(const nvmlDevice_st& device) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
  if (driver == nullptr) {
    dlerror();
    return 0;
  }
  const auto uuid_of =
      reinterpret_cast<CUresult (*)(CUuuid*, CUdevice)>(dlsym(driver, "cuDeviceGetUuid_v2"));
  const auto memory_of = reinterpret_cast<decltype(&simgpu_memory)>(dlsym(driver, "simgpu_memory"));
  SimgpuMemory memory{};
  CUuuid uuid{};
  for (CUdevice i = 0; uuid_of != nullptr && uuid_of(&uuid, i) == CUDA_SUCCESS; ++i) {
    if (std::memcmp(uuid.bytes, device.identity.uuid.data(), sizeof uuid.bytes) != 0) continue;
    if (memory_of != nullptr) memory_of(i, &memory);
  }
  dlclose(driver);
  return memory.hbm_used;
}

// Who holds memory there, and is therefore running on it.
std::vector<MachineFile::Use> uses_of(const nvmlDevice_st& device) {
  if (shared_machine != nullptr) return shared_machine->uses(device.index);
  const std::uint64_t own = used_of(device);
  if (own == 0) return {};
  return {{getpid(), own}};
}

std::uint64_t used_by_all(const nvmlDevice_st& device) {
  std::uint64_t sum = 0;
  for (const MachineFile::Use& use : uses_of(device)) sum += use.bytes;
  return sum;
}

template <typename Info>
nvmlReturn_t running_processes(nvmlDevice_t device, unsigned* count, Info* infos, Info one) {
  if (const nvmlReturn_t result = check(device, count); result != NVML_SUCCESS) return result;
  const std::vector<MachineFile::Use> uses = uses_of(*device);
  const unsigned room = *count;
  *count = static_cast<unsigned>(uses.size());
  if (*count > room) return NVML_ERROR_INSUFFICIENT_SIZE;
  if (*count == 0) return NVML_SUCCESS;
  if (infos == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (const MachineFile::Use& use : uses) {
    one.pid = static_cast<unsigned>(use.pid);
    one.usedGpuMemory = use.bytes;
    *infos++ = one;
  }
  return NVML_SUCCESS;
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlInitWithFlags(unsigned int) {
  std::lock_guard lock(mutex);
  if (machine == nullptr) machine = make_machine();
  if (machine == nullptr) return NVML_ERROR_UNKNOWN;
  ++initialised;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void) {
  return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlInit(void) {
  return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlShutdown(void) {
  std::lock_guard lock(mutex);
  if (initialised == 0) return NVML_ERROR_UNINITIALIZED;
  --initialised;
  return NVML_SUCCESS;
}

const char* nvmlErrorString(nvmlReturn_t result) {
  switch (result) {
    case NVML_SUCCESS:
      return "Success";
    case NVML_ERROR_UNINITIALIZED:
      return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
      return "Invalid Argument";
    case NVML_ERROR_NOT_FOUND:
      return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
      return "Insufficient Size";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
      return "Argument Version Mismatch";
    default:
      return "Unknown Error";
  }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  if (devices() == nullptr) return NVML_ERROR_UNINITIALIZED;
  if (version == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return write_text(simgpu::kRelease, version, length);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* count) {
  const Devices* all = devices();
  if (all == nullptr) return NVML_ERROR_UNINITIALIZED;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = static_cast<unsigned>(all->size());
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  const nvmlReturn_t result =
      find(device, [&](const nvmlDevice_st& one) { return one.index == index; });
  return result == NVML_ERROR_NOT_FOUND ? NVML_ERROR_INVALID_ARGUMENT : result;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  if (uuid == nullptr) device = nullptr;
  return find(device, [&](const nvmlDevice_st& one) { return one.identity.uuid_text == uuid; });
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, nvmlDevice_t* device) {
  unsigned domain = 1, bus = 0, slot = 1;
  if (bus_id == nullptr || std::sscanf(bus_id, "%x:%x:%x", &domain, &bus, &slot) != 3) {
    device = nullptr;
  }
  return find(device, [&](const nvmlDevice_st& one) {
    return domain == 0 && slot == 0 && one.identity.pci_bus == bus;
  });
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  const nvmlReturn_t result = check(device, index);
  if (result == NVML_SUCCESS) *index = device->index;
  return result;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned int length) {
  const nvmlReturn_t result = check(device, name);
  return result == NVML_SUCCESS ? write_text(simgpu::kDeviceName, name, length) : result;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned int length) {
  const nvmlReturn_t result = check(device, uuid);
  return result == NVML_SUCCESS ? write_text(device->identity.uuid_text, uuid, length) : result;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* info) {
  const nvmlReturn_t result = check(device, info);
  if (result != NVML_SUCCESS) return result;
  *info = {};
  info->bus = device->identity.pci_bus;
  std::snprintf(info->busIdLegacy, sizeof info->busIdLegacy, "0000:%02X:00.0", info->bus);
  std::snprintf(info->busId, sizeof info->busId, "00000000:%02X:00.0", info->bus);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  const nvmlReturn_t result = check(device, memory);
  if (result != NVML_SUCCESS) return result;
  const std::uint64_t used = used_by_all(*device);
  *memory = {device->total, device->total - used, used};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  const nvmlReturn_t result = check(device, memory);
  if (result != NVML_SUCCESS) return result;
  if (memory->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  const std::uint64_t used = used_by_all(*device);
  *memory = {nvmlMemory_v2, device->total, 0, device->total - used, used};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                  nvmlProcessInfo_v1_t* infos) {
  return running_processes(device, count, infos, nvmlProcessInfo_v1_t{});
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v2_t* infos) {
  return running_processes(device, count, infos, nvmlProcessInfo_v2_t{0, 0, ~0u, ~0u});
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v2_t* infos) {
  return running_processes(device, count, infos, nvmlProcessInfo_v2_t{0, 0, ~0u, ~0u});
}

}  // extern "C"
