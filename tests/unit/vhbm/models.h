// Processes as `vhbm top` would find them.
#pragma once

#include "runtime/units.h"
#include "top/model.h"

namespace vhbm::cli {

inline StatsSnapshot stats_of(pid_t pid, const std::string& command, std::uint64_t hbm,
                              std::uint64_t host) {
  StatsSnapshot stats;
  stats.pid = pid;
  stats.command = command;
  const auto set = [&](Stat stat, std::uint64_t value) {
    stats.values[static_cast<std::size_t>(stat)] = value;
  };
  set(Stat::hbm_bytes, hbm);
  set(Stat::hbm_limit, gib(60).value);
  set(Stat::host_bytes, host);
  set(Stat::host_limit, gib(100).value);
  set(Stat::link_to_hbm, 20'000'000'000);
  return stats;
}

inline RegionRow region_of(std::uint64_t base, Tag tag, Bytes resident, Bytes host_mapped) {
  RegionRow row{};
  row.base = base;
  row.tag = tag;
  row.resident = resident.value;
  row.host_mapped = host_mapped.value;
  row.size = row.resident + row.host_mapped;
  return row;
}

// Two processes; the second one has regions, in the wrong order.
inline Model two_processes() {
  Model model;
  model.clock = "12:34:56";
  model.directory = "/dev/shm/vhbm-1000";
  model.processes.push_back({stats_of(4711, "/opt/server --model small", gib(12).value, 0), {}});
  model.processes.push_back(
      {stats_of(4712, "python3 -m vllm serve", gib(30).value, gib(25).value),
       Rates{.seconds = 1, .promoted_bytes = 5e9, .evicted_bytes = 2e6, .stall_share = 0.034}});
  RegionsSnapshot regions;
  regions.pid = 4712;
  regions.rows = {region_of(0x9000, Tag::kv, mib(2), mib(6)),
                  region_of(0x1000, Tag::weights, mib(8), {})};
  regions.rows[0].first_group = 4, regions.rows[0].groups = 4;
  regions.rows[1].first_group = 0, regions.rows[1].groups = 4;
  regions.groups = {255, 255, 255, 255, 0, 128, 127, 0};
  model.regions.push_back(regions);
  return model;
}

}  // namespace vhbm::cli
