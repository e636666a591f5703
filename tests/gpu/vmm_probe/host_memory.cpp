// Reads what the machine can spare: /proc/meminfo and the cgroups (v2 and v1) around this process.
#include "host_memory.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "units.h"

namespace vmm_probe {
namespace {

// What stays free whatever is asked for.
constexpr std::size_t kFloor = 512_MiB;

std::string whole_mib(std::size_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

// The number in a cgroup file; absent, "max" and unlimited ones read as no limit.
std::size_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::size_t value = 0;
  return file >> value ? value : std::numeric_limits<std::size_t>::max();
}

std::size_t headroom(const std::string& limit_file, const std::string& used_file) {
  const std::size_t limit = number_in(limit_file), used = number_in(used_file);
  if (limit == std::numeric_limits<std::size_t>::max()) return limit;
  return used < limit ? limit - used : 0;
}

std::size_t cgroup_headroom() {
  std::size_t least = std::numeric_limits<std::size_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers.find("memory") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      const std::string folder = root + (path == "/" ? "" : path);
      least = std::min(least, v2 ? headroom(folder + "/memory.max", folder + "/memory.current")
                                 : headroom(folder + "/memory.limit_in_bytes",
                                            folder + "/memory.usage_in_bytes"));
      if (path.empty() || path == "/") break;
    }
  }
  return least;
}

}  // namespace

HostMemoryLimit HostMemoryLimit::parse(const std::string& text) {
  HostMemoryLimit limit;
  char* unit = nullptr;
  const double number = std::strtod(text.c_str(), &unit);
  const std::string suffix = unit;
  if (unit == text.c_str() || !(number > 0)) {
    limit.error = "'" + text + "' is no size: give one like 8GiB, 512MiB or 25%";
  } else if (suffix == "%" && number <= 90) {
    limit.percent = number;
  } else if (suffix == "GiB" || suffix == "G") {
    limit.bytes = static_cast<std::size_t>(number * (1_GiB));
  } else if (suffix == "MiB" || suffix == "M") {
    limit.bytes = static_cast<std::size_t>(number * (1_MiB));
  } else {
    limit.error = "'" + text + "': give GiB, MiB, or a share of at most 90%";
  }
  return limit;
}

std::size_t available_host_memory() {
  std::size_t available = 0;
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    std::size_t kib = 0;
    if (words >> key >> kib && key == "MemAvailable:") available = kib << 10;
  }
  return std::min(available, cgroup_headroom());
}

HostMemory::HostMemory(const HostMemoryLimit& limit)
    : limit_(limit.bytes
                 ? limit.bytes
                 : static_cast<std::size_t>(available_host_memory() * (limit.percent / 100))) {}

std::string HostMemory::take(std::size_t bytes) {
  if (bytes > left())
    return "--host-memory allows " + whole_mib(limit_) + ", of which " + whole_mib(left()) +
           " are left";
  // Looking it up takes longer than making a small frame, and frames are what is measured.
  if (bytes > checked_) {
    const std::size_t available = available_host_memory();
    if (available < bytes + kFloor)
      return "the machine has only " + whole_mib(available) + " of memory available";
    checked_ = std::min(std::max(bytes, 256_MiB), available - kFloor);
  }
  checked_ -= bytes;
  used_ += bytes;
  return {};
}

}  // namespace vmm_probe
