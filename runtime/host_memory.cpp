// Reads /proc/meminfo and the cgroup (version 2, else 1) that /proc/self/cgroup names. In a
// container the named path may not exist under the mount; the mount's root then is the container's
// own cgroup.
#include "runtime/host_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace vhbm {
namespace {

// A limit that was set far too high leaves others so much: one part of so many.
constexpr std::uint64_t least_left = 8;
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

std::uint64_t available_by_kernel(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("MemAvailable:", 0) != 0) continue;
    std::istringstream fields(line.substr(13));
    std::uint64_t kib = 0;
    fields >> kib;
    return kib << 10;
  }
  return 0;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

// What is left below the limits of `path` and each of its parents under `mount`.
std::uint64_t headroom(const std::string& mount, std::string path, const char* limit_file,
                       const char* usage_file) {
  std::uint64_t left = unlimited;
  for (;;) {
    const std::string directory = mount + path + "/";
    const auto limit = number_in(directory + limit_file);
    const auto usage = number_in(directory + usage_file);
    if (limit && usage) left = std::min(left, *limit > *usage ? *limit - *usage : 0);
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return left;
    path.resize(slash);
  }
}

std::uint64_t left_in_cgroups(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::string line;
  std::uint64_t left = unlimited;
  while (std::getline(file, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers = line.substr(first, second - first + 1);
    std::replace(controllers.begin(), controllers.end(), ':', ',');
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    const std::string mount = root + "/sys/fs/cgroup";
    if (controllers == ",,") {
      left = std::min(left, headroom(mount, path, "memory.max", "memory.current"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      left = std::min(left, headroom(mount + "/memory", path, "memory.limit_in_bytes",
                                     "memory.usage_in_bytes"));
    }
  }
  return left;
}

}  // namespace

Bytes available_host_memory(const HostPromises& promised, const std::string& root) {
  const auto less = [](std::uint64_t available, Bytes taken) {
    return available - std::min(taken.value, available - available / least_left);
  };
  return {std::min(less(available_by_kernel(root), promised.node),
                   less(left_in_cgroups(root), promised.cgroup))};
}

}  // namespace vhbm
