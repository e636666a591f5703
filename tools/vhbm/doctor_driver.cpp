// What only the driver can answer. Nothing here calls it in this process: each question is asked by
// a child, which writes a line before each step that may kill it.
#include <cuda.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "child_process.h"
#include "doctor.h"
#include "quantity.h"

namespace vhbm::cli {
namespace {

constexpr std::size_t frame_size = 2 << 20;
constexpr int no_driver = 3;  // the child's exit code

// The functions by their names in the library, so that no header macro picks another variant.
class Calls {
 public:
  explicit Calls(std::FILE* out) : out_(out), library_(dlopen("libcuda.so.1", RTLD_NOW)) {
    if (library_ == nullptr) std::fprintf(out_, "trouble %s\n", dlerror());
  }
  [[nodiscard]] bool loaded() const { return library_ != nullptr; }
  [[nodiscard]] void* find(const char* name) const { return dlsym(library_, name); }

  // Says what it calls, then calls it. False, and said so, when that fails.
  template <typename Function, typename... Arguments>
  bool call(const char* name, Arguments... arguments) {
    std::fprintf(out_, "step %s\n", name);
    auto* function = reinterpret_cast<Function*>(find(name));
    if (function == nullptr) {
      std::fprintf(out_, "trouble this driver has no %s\n", name);
      return false;
    }
    result_ = function(arguments...);
    if (result_ == CUDA_SUCCESS) return true;
    const char* error = "an unknown error";
    if (auto* name_of = reinterpret_cast<decltype(&::cuGetErrorName)>(find("cuGetErrorName"));
        name_of != nullptr) {
      name_of(result_, &error);
    }
    std::fprintf(out_, "trouble %s gives error %d, %s\n", name, static_cast<int>(result_), error);
    return false;
  }
  [[nodiscard]] CUresult result() const { return result_; }

 private:
  std::FILE* out_;
  void* library_;
  CUresult result_ = CUDA_SUCCESS;
};

#define CALL(symbol, ...) calls.call<decltype(::symbol)>(#symbol, __VA_ARGS__)

void describe_gpu(Calls& calls, std::FILE* out, int ordinal) {
  CUdevice device = 0;
  char name[128] = "";
  std::size_t memory = 0;
  int virtual_memory = 0, shared = 0, node = -1;
  if (!CALL(cuDeviceGet, &device, ordinal) || !CALL(cuDeviceGetName, name, 127, device) ||
      !CALL(cuDeviceTotalMem_v2, &memory, device) ||
      !CALL(cuDeviceGetAttribute, &virtual_memory,
            CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device)) {
    return;
  }
  // Drivers before 12.2 do not know these.
  auto* ask =
      reinterpret_cast<decltype(&::cuDeviceGetAttribute)>(calls.find("cuDeviceGetAttribute"));
  if (ask(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, device) != CUDA_SUCCESS) node = -1;
  if (ask(&shared, CU_DEVICE_ATTRIBUTE_MPS_ENABLED, device) != CUDA_SUCCESS) shared = 0;
  std::fprintf(out, "gpu %d %zu %d %d %d %s\n", ordinal, memory, virtual_memory, shared, node,
               name);
}

int look_around(std::FILE* out, int) {
  Calls calls(out);
  if (!calls.loaded()) return no_driver;
  if (!CALL(cuInit, 0)) return calls.result() == CUDA_ERROR_STUB_LIBRARY ? no_driver : 0;
  std::fprintf(out, "initialized\n");
  int version = 0, count = 0;
  if (CALL(cuDriverGetVersion, &version)) std::fprintf(out, "version %d\n", version);
  if (calls.find("simgpu_version") != nullptr) std::fprintf(out, "simulated\n");
  if (!CALL(cuDeviceGetCount, &count)) return 0;
  for (int i = 0; i < count; ++i) describe_gpu(calls, out, i);
  return 0;
}

// The whole life of a host frame: made, mapped, written and read through the GPU, and released.
int try_host_frame(std::FILE* out, int ordinal) {
  Calls calls(out);
  CUdevice device = 0;
  CUcontext context = nullptr;
  if (!calls.loaded() || !CALL(cuInit, 0) || !CALL(cuDeviceGet, &device, ordinal) ||
      !CALL(cuDevicePrimaryCtxRetain, &context, device) || !CALL(cuCtxSetCurrent, context)) {
    return 1;
  }
  int node = 0;
  auto* ask =
      reinterpret_cast<decltype(&::cuDeviceGetAttribute)>(calls.find("cuDeviceGetAttribute"));
  if (ask == nullptr || ask(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, device) != CUDA_SUCCESS ||
      node < 0) {
    node = 0;
  }
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, node};
  CUmemAccessDesc access{};
  access.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  CUmemGenericAllocationHandle frame = 0;
  CUdeviceptr address = 0;
  const unsigned written = 0x76686266;
  unsigned read = 0;
  const bool fine =
      CALL(cuMemCreate, &frame, frame_size, &properties, 0ull) &&
      CALL(cuMemAddressReserve, &address, frame_size, frame_size, CUdeviceptr{0}, 0ull) &&
      CALL(cuMemMap, address, frame_size, std::size_t{0}, frame, 0ull) &&
      CALL(cuMemSetAccess, address, frame_size, &access, std::size_t{1}) &&
      CALL(cuMemsetD32_v2, address, written, frame_size / sizeof written) &&
      CALL(cuMemcpyDtoH_v2, &read, address + frame_size - sizeof read, sizeof read) &&
      CALL(cuMemUnmap, address, frame_size) && CALL(cuMemRelease, frame) &&
      CALL(cuMemAddressFree, address, frame_size);
  if (!fine) return 1;
  if (read == written) return 0;
  std::fprintf(out, "trouble what the GPU wrote into host memory is not what it read back\n");
  return 1;
}

// What the child's lines say of one kind, the last one winning.
std::string last_line(const std::string& output, const std::string& kind) {
  std::istringstream lines(output);
  std::string line, found;
  while (std::getline(lines, line)) {
    if (line.rfind(kind + " ", 0) == 0) found = line.substr(kind.size() + 1);
  }
  return found;
}

std::string trouble_of(const ChildOutcome& outcome) {
  const std::string told = last_line(outcome.output, "trouble");
  if (outcome.end == ChildOutcome::End::exited) return told.empty() ? outcome.trouble() : told;
  const std::string step = last_line(outcome.output, "step");
  return (step.empty() ? "loading it" : step) + " " + outcome.trouble();
}

std::vector<Finding> none_found() {
  return {};
}

}  // namespace

DriverFound find_driver(std::chrono::milliseconds limit) {
  const ChildOutcome outcome = run_in_child(look_around, 0, limit);
  DriverFound found;
  found.loaded = outcome.end != ChildOutcome::End::exited || outcome.code != no_driver;
  found.trouble = trouble_of(outcome);
  std::istringstream lines(outcome.output);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string kind;
    fields >> kind;
    if (kind == "initialized") found.initialized = true;
    if (kind == "simulated") found.simulated = true;
    if (kind == "version") fields >> found.version;
    if (kind == "gpu") {
      GpuFound gpu;
      fields >> gpu.ordinal >> gpu.memory >> gpu.virtual_memory >> gpu.shared_by_mps >>
          gpu.numa_node >> std::ws;
      std::getline(fields, gpu.name);
      found.gpus.push_back(gpu);
    }
  }
  return found;
}

std::vector<Finding> check_driver(const Surroundings& surroundings) {
  const DriverFound& driver = surroundings.driver;
  if (!driver.loaded) {
    return {{Verdict::problem, "there is no GPU driver (" + driver.trouble + ")",
             "install the NVIDIA driver; in a container, start it with --gpus all"}};
  }
  if (!driver.initialized) {
    return {{Verdict::problem, "libcuda.so.1 is there but does not start: " + driver.trouble,
             "see what nvidia-smi says; in a container, start it with --gpus all"}};
  }
  char version[32];
  std::snprintf(version, sizeof version, "%d.%d", driver.version / 1000,
                driver.version % 1000 / 10);
  const std::string what = driver.simulated ? "simulated GPU driver, no real GPU, of CUDA "
                                            : "libcuda.so.1, for programs up to CUDA ";
  if (driver.version < 12040) {
    return {
        {Verdict::advice, what + version, "vHBM is made for 12.4 and later: update the driver"}};
  }
  return {{Verdict::ok, what + version, ""}};
}

std::vector<Finding> check_gpus(const Surroundings& surroundings) {
  const DriverFound& driver = surroundings.driver;
  if (!driver.initialized) return none_found();
  std::vector<Finding> findings;
  for (const GpuFound& gpu : driver.gpus) {
    findings.push_back(
        {Verdict::ok,
         "GPU " + std::to_string(gpu.ordinal) + ", " + gpu.name + ", " + bytes_text(gpu.memory),
         ""});
  }
  if (!driver.trouble.empty()) {
    findings.push_back({Verdict::problem,
                        "the driver could not be asked for all: " + driver.trouble,
                        "see what nvidia-smi says"});
  } else if (findings.empty()) {
    findings.push_back({Verdict::problem, "the driver has no GPU",
                        "see what nvidia-smi says, and CUDA_VISIBLE_DEVICES"});
  }
  return findings;
}

std::vector<Finding> check_virtual_memory(const Surroundings& surroundings) {
  std::vector<Finding> findings;
  for (const GpuFound& gpu : surroundings.driver.gpus) {
    const std::string which = "GPU " + std::to_string(gpu.ordinal);
    if (gpu.virtual_memory) {
      findings.push_back({Verdict::ok, which + " has virtual memory management", ""});
    } else {
      findings.push_back({Verdict::problem, which + " has no virtual memory management",
                          "vHBM cannot page it; use another GPU, or no virtualised one (vGPU)"});
    }
  }
  return findings;
}

std::vector<Finding> check_mps(const Surroundings& surroundings) {
  std::vector<Finding> findings;
  for (const GpuFound& gpu : surroundings.driver.gpus) {
    const std::string which = "GPU " + std::to_string(gpu.ordinal);
    if (gpu.shared_by_mps) {
      findings.push_back({Verdict::advice,
                          which + " is shared through MPS, where a fault of one process ends all "
                                  "of them, so no pages move: what does not fit into HBM stays in "
                                  "host memory",
                          "stop MPS (echo quit | nvidia-cuda-mps-control), start the server with "
                          "CUDA_MPS_PIPE_DIRECTORY= of nowhere, or take the risk: "
                          "flip_under_mps = true"});
    } else {
      findings.push_back({Verdict::ok, which + " is not shared through MPS", ""});
    }
  }
  return findings;
}

std::vector<Finding> check_host_frames(const Surroundings& surroundings) {
  std::vector<Finding> findings;
  for (const GpuFound& gpu : surroundings.driver.gpus) {
    const std::string which = "GPU " + std::to_string(gpu.ordinal);
    const ChildOutcome outcome = run_in_child(try_host_frame, gpu.ordinal, surroundings.limit);
    const std::string trouble = trouble_of(outcome);
    if (trouble.empty()) {
      findings.push_back({Verdict::ok, which + " wrote and read host memory mapped to it", ""});
    } else if (outcome.end == ChildOutcome::End::exited) {
      findings.push_back({Verdict::problem, which + " cannot use host memory: " + trouble,
                          "in a container, allow SYS_NICE and raise its memory limit; drivers "
                          "before 12.2 cannot at all"});
    } else {
      findings.push_back({Verdict::problem, which + ", using host memory: " + trouble,
                          "update the driver; nothing can leave HBM with this one"});
    }
  }
  return findings;
}

}  // namespace vhbm::cli
