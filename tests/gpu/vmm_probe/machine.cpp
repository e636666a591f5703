// Reads /proc, /sys and, where present, NVML (libnvidia-ml.so.1, found at run time).
#include "machine.h"

#include <dlfcn.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cctype>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "host_memory.h"

namespace vmm_probe {

using Json = nlohmann::ordered_json;

namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Json numa_nodes() {
  Json nodes = Json::array();
  for (int id = 0; id < 1024; ++id) {
    const std::string folder = "/sys/devices/system/node/node" + std::to_string(id);
    std::error_code none;
    if (!std::filesystem::exists(folder, none)) continue;
    Json node = {{"node", id}, {"cpus", first_line(folder + "/cpulist")}};
    std::ifstream info(folder + "/meminfo");
    for (std::string line; std::getline(info, line);) {
      std::istringstream words(line);
      std::string skip, number, key;
      std::size_t kib = 0;
      if (!(words >> skip >> number >> key >> kib)) continue;
      if (key == "MemTotal:") node["total_bytes"] = kib << 10;
      if (key == "MemFree:") node["free_bytes"] = kib << 10;
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

// The few calls of NVML that say what the CUDA driver does not.
struct Nvml {
  using Init = int (*)();
  using Version = int (*)(char*, unsigned);
  using ByBusId = int (*)(const char*, void**);
  using Number = int (*)(void*, unsigned*);

  Nvml() {
    library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    auto* init = find<Init>("nvmlInit_v2");
    usable = init && init() == 0;
  }
  ~Nvml() {
    if (!library) return;
    if (auto* shutdown = usable ? find<Init>("nvmlShutdown") : nullptr) shutdown();
    dlclose(library);
  }
  template <typename F>
  F find(const char* name) const {
    return library ? reinterpret_cast<F>(dlsym(library, name)) : nullptr;
  }
  void number(Json& into, const char* key, const char* function, void* device) const {
    unsigned value = 0;
    if (auto* call = find<Number>(function); call && call(device, &value) == 0) into[key] = value;
  }

  void* library = nullptr;
  bool usable = false;
};

}  // namespace

std::string driver_version() {
  const Nvml nvml;
  char version[128] = "";
  auto* call = nvml.find<Nvml::Version>("nvmlSystemGetDriverVersion");
  if (nvml.usable && call && call(version, sizeof version) == 0) return version;
  return first_line("/proc/driver/nvidia/version");
}

Json describe_machine() {
  Json machine;
  utsname system{};
  uname(&system);
  machine["kernel_version"] =
      std::string(system.sysname) + " " + system.release + " " + system.machine;
  machine["processors_count"] = sysconf(_SC_NPROCESSORS_ONLN);
  machine["memory_available_bytes"] = available_host_memory();
  machine["vm_max_map_count"] = first_line("/proc/sys/vm/max_map_count");
  machine["numa_nodes"] = numa_nodes();
  return machine;
}

Json pcie_link(const std::string& pci_address) {
  Json link = Json::object();
  std::string lower = pci_address;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::string folder = "/sys/bus/pci/devices/" + lower + "/";
  for (const char* what : {"current_link_speed", "current_link_width", "max_link_speed",
                           "max_link_width", "numa_node"}) {
    if (std::string text = first_line(folder + what); !text.empty()) link[what] = text;
  }
  const Nvml nvml;
  void* device = nullptr;
  auto* find = nvml.find<Nvml::ByBusId>("nvmlDeviceGetHandleByPciBusId_v2");
  if (!nvml.usable || !find || find(pci_address.c_str(), &device) != 0) return link;
  nvml.number(link, "current_generation", "nvmlDeviceGetCurrPcieLinkGeneration", device);
  nvml.number(link, "current_width_lanes", "nvmlDeviceGetCurrPcieLinkWidth", device);
  nvml.number(link, "max_generation", "nvmlDeviceGetMaxPcieLinkGeneration", device);
  nvml.number(link, "max_width_lanes", "nvmlDeviceGetMaxPcieLinkWidth", device);
  return link;
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

}  // namespace vmm_probe
