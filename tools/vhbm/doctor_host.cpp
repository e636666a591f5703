// What the kernel, the container and the machine allow.
#include <gnu/libc-version.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "doctor.h"
#include "quantity.h"
#include "runtime/host_memory.h"
#include "runtime/units.h"

namespace vhbm::cli {
namespace {

constexpr Bytes chunk = mib(2);

// The number after `key` in a file of lines such as "MemTotal: 12 kB"; nullptr-like when missing.
bool number_after(const std::string& path, const std::string& key, int base,
                  std::uint64_t& number) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t at = line.find(key);
    if (at == std::string::npos) continue;
    number = std::strtoull(line.c_str() + at + key.size(), nullptr, base);
    return true;
  }
  return false;
}

std::uint64_t hbm_of_all(const Surroundings& surroundings) {
  std::uint64_t sum = 0;
  for (const GpuFound& gpu : surroundings.driver.gpus) sum += gpu.memory;
  return sum;
}

}  // namespace

std::vector<Finding> check_numa_node(const Surroundings& surroundings) {
  std::vector<Finding> findings;
  for (const GpuFound& gpu : surroundings.driver.gpus) {
    const std::string which = "GPU " + std::to_string(gpu.ordinal);
    if (gpu.numa_node < 0) {
      findings.push_back({Verdict::ok, which + " names no NUMA node; node 0 is used", ""});
      continue;
    }
    const std::string node = std::to_string(gpu.numa_node);
    const std::string path = "/sys/devices/system/node/node" + node + "/meminfo";
    std::uint64_t kib = 0;
    if (!number_after(path, "MemTotal:", 10, kib)) {
      // A kernel without NUMA has node 0 only, and no such file.
      findings.push_back(
          {gpu.numa_node == 0 ? Verdict::ok : Verdict::advice,
           which + " is nearest to node " + node + ", of which the kernel says nothing",
           gpu.numa_node == 0 ? "" : "mount /sys in the container"});
    } else if (kib == 0) {
      findings.push_back({Verdict::problem,
                          which + " is nearest to NUMA node " + node + ", which has no memory",
                          "put memory modules beside that processor, or use another GPU"});
    } else {
      findings.push_back(
          {Verdict::ok,
           which + " is nearest to NUMA node " + node + ", which has " + bytes_text(kib << 10),
           ""});
    }
  }
  return findings;
}

std::vector<Finding> check_capabilities(const Surroundings&) {
  constexpr int cap_sys_nice = 23;
  std::uint64_t effective = 0;
  number_after("/proc/self/status", "CapEff:", 16, effective);
  const bool nice = (effective >> cap_sys_nice & 1) != 0;
  const bool asked = syscall(SYS_get_mempolicy, nullptr, nullptr, 0, nullptr, 0) == 0;
  const std::string nice_text = nice ? "CAP_SYS_NICE is there" : "CAP_SYS_NICE is not there";
  if (asked || errno == ENOSYS) {
    return {{Verdict::ok, "get_mempolicy is allowed, " + nice_text, ""}};
  }
  // The driver asks for the memory policy before it makes host frames.
  return {{Verdict::advice,
           std::string("get_mempolicy is forbidden (") + std::strerror(errno) + "), " + nice_text,
           "in a container, allow SYS_NICE (docker run --cap-add SYS_NICE)"}};
}

std::vector<Finding> check_locked_memory(const Surroundings&) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return {{Verdict::ok, "RLIMIT_MEMLOCK is unlimited", ""}};
  }
  return {{Verdict::advice, "RLIMIT_MEMLOCK is " + bytes_text(limit.rlim_cur),
           "GPU drivers page-lock beside it, RDMA and io_uring within it: ulimit -l unlimited if "
           "the server uses them"}};
}

std::vector<Finding> check_mappings(const Surroundings& surroundings) {
  std::uint64_t most = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> most;
  if (most == 0) return {{Verdict::advice, "vm.max_map_count cannot be read", "mount /proc"}};
  const std::uint64_t allows = most * chunk.value;
  const std::uint64_t wanted = hbm_of_all(surroundings) + available_host_memory().value / 2;
  const std::string what = "vm.max_map_count is " + std::to_string(most) + ", enough for " +
                           bytes_text(allows) + " in chunks of 2 MiB";
  if (allows >= wanted) return {{Verdict::ok, what, ""}};
  return {{Verdict::advice,
           what + ", while HBM and half of the host's memory are " + bytes_text(wanted),
           "should the driver take one mapping a chunk: sysctl vm.max_map_count=" +
               std::to_string(wanted / chunk.value * 2) + ", or a larger chunk_size"}};
}

std::vector<Finding> check_host_memory(const Surroundings&) {
  const Bytes left = available_host_memory();
  const std::string what = bytes_text(left.value) +
                           " may be page-locked (kernel and memory cgroup), so host_limit is " +
                           bytes_text(left.value / 2) + " unless it is set";
  if (Bytes{left.value / 2} < chunk) {
    return {{Verdict::problem, what, "free memory, or raise the container's memory limit"}};
  }
  if (left < gib(1)) {
    return {{Verdict::advice, what, "little can leave HBM: raise the container's memory limit"}};
  }
  return {{Verdict::ok, what, ""}};
}

std::vector<Finding> check_system(const Surroundings&) {
  utsname system{};
  uname(&system);
  return {{Verdict::ok,
           std::string(system.sysname) + " " + system.release + " " + system.machine + ", glibc " +
               gnu_get_libc_version(),
           ""}};
}

}  // namespace vhbm::cli
