#include "runtime/host_promises.h"

#include <fstream>

#include "runtime/stats_reader.h"

namespace vhbm {
namespace {

// Empty when it cannot be read: that of another container's process, or of one that just ended.
std::string cgroup_of(const std::string& root, const std::string& process) {
  std::ifstream file(root + "/proc/" + process + "/cgroup");
  std::string text;
  std::getline(file, text, '\0');
  return text;
}

}  // namespace

HostPromises promised_to_others(const std::string& state_directory, const std::string& root) {
  HostPromises promised;
  const std::string own_cgroup = cgroup_of(root, "self");
  const std::vector<StatsSnapshot> all = read_live_stats(state_directory);
  for (auto device = all.begin(); device != all.end();) {
    // Its devices follow each other, each with the limit of them all.
    const StatsSnapshot& process = *device;
    Bytes locked;
    for (; device != all.end() && device->pid == process.pid && device->command == process.command;
         ++device) {
      locked += Bytes{(*device)[Stat::host_bytes] + (*device)[Stat::application_host_bytes]};
    }
    const Bytes left = saturating_minus({process[Stat::host_limit]}, locked);
    promised.node += left;
    const std::string cgroup = cgroup_of(root, std::to_string(process.pid));
    if (!cgroup.empty() && cgroup == own_cgroup) promised.cgroup += left;
  }
  return promised;
}

}  // namespace vhbm
