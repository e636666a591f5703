// Frames: what creating, holding and releasing them costs, in HBM and on the host.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "memory.h"

namespace vmm_probe {
namespace {

// Creates frames of `bytes_each` until `bytes_total`, then releases all: both timed one by one.
Json create_and_release(Probe& probe, const CUmemAllocationProp& properties, std::size_t bytes_each,
                        std::size_t bytes_total) {
  std::vector<Frame> frames;
  std::vector<double> create, release;
  const Clock::time_point start = Clock::now();
  for (std::size_t i = 0; i < std::max<std::size_t>(1, bytes_total / bytes_each); ++i) {
    const Clock::time_point before = Clock::now();
    frames.emplace_back(probe, properties, bytes_each);
    create.push_back(microseconds_since(before));
    if (probe.half_time_over()) break;
  }
  const double create_seconds = seconds_since(start);
  const std::size_t created = frames.size() * bytes_each;
  const Clock::time_point release_start = Clock::now();
  while (!frames.empty()) {
    const Clock::time_point before = Clock::now();
    frames.pop_back();
    release.push_back(microseconds_since(before));
  }
  return {{"frame_bytes", bytes_each},
          {"create_gib_per_s", to_gib(created) / create_seconds},
          {"release_gib_per_s", to_gib(created) / seconds_since(release_start)},
          {"create", spread("microseconds", create)},
          {"release", spread("microseconds", release)}};
}

std::size_t entries_in(const char* folder) {
  std::error_code none;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator i(folder, none), end; i != end; i.increment(none))
    ++count;
  return count;
}

std::size_t lines_in(const char* path) {
  std::ifstream file(path);
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

// Of this process: what the kernel limits per process.
struct Footprint {
  std::size_t descriptors = entries_in("/proc/self/fd");
  std::size_t vmas = lines_in("/proc/self/maps");

  Json per_frame_since(const Footprint& before, std::size_t frames) const {
    const double n = static_cast<double>(frames);
    return {{"descriptors_per_frame_count", (double(descriptors) - double(before.descriptors)) / n},
            {"vmas_per_frame_count", (double(vmas) - double(before.vmas)) / n}};
  }
};

}  // namespace

void hbm_frames(Probe& probe) {
  const CUmemAllocationProp properties = frame_properties(probe, Place::hbm);
  std::string headline;
  for (const std::size_t bytes : {2_MiB, 4_MiB, 8_MiB, 16_MiB, 32_MiB, 64_MiB, 256_MiB}) {
    std::size_t total = 0;
    try {
      total = fitting(probe, Place::hbm, std::clamp(bytes * 64, 512_MiB, 2_GiB), bytes);
    } catch (const Skipped&) {
      continue;  // this size does not fit; smaller ones are recorded
    }
    // Twice: the first round may pay for what the driver keeps afterwards.
    Json first = create_and_release(probe, properties, bytes, total);
    Json again = create_and_release(probe, properties, bytes, total);
    if (headline.empty())
      headline = "2 MiB: create " + fixed(again["create"]["microseconds_median"].get<double>(), 1) +
                 " us, release " + fixed(again["release"]["microseconds_median"].get<double>(), 1) +
                 " us";
    probe.append("by_frame_size",
                 {{"frame_bytes", bytes}, {"first_round", first}, {"second_round", again}});
    probe.headline(headline);
  }
}

void host_frames(Probe& probe) {
  const CUmemAllocationProp properties = frame_properties(probe, Place::host);
  double best = 0;
  for (const std::size_t bytes : {2_MiB, 16_MiB, 64_MiB, 256_MiB, 1_GiB}) {
    std::size_t total = 0;
    try {
      total = fitting(probe, Place::host, std::max(1_GiB, bytes * 2), bytes);
    } catch (const Skipped&) {
      continue;
    }
    Json first = create_and_release(probe, properties, bytes, total);
    Json again = create_and_release(probe, properties, bytes, total);
    best = std::max(best, first["create_gib_per_s"].get<double>());
    probe.append("by_frame_size",
                 {{"frame_bytes", bytes}, {"first_round", first}, {"second_round", again}});
    probe.headline("created at up to " + fixed(best, 1) + " GiB/s (first round)");
    if (probe.half_time_over()) break;
  }
  if (best == 0) throw Skipped("no room for host frames (--host-memory)");
}

void host_frames_by_node(Probe& probe) {
  struct Location {
    std::string name;
    CUmemLocationType type;
    int id;
  };
  std::vector<Location> locations = {
      {"host_numa, node -1", CU_MEM_LOCATION_TYPE_HOST_NUMA, -1},
      {"host_numa_current", CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT, 0},
      {"host", CU_MEM_LOCATION_TYPE_HOST, 0}};
  bool any_node = false;
  for (int node = 0; node < 64; ++node) {
    std::error_code none;
    if (!std::filesystem::exists("/sys/devices/system/node/node" + std::to_string(node), none) &&
        node != probe.host_node())
      continue;
    any_node = true;
    locations.push_back(
        {"host_numa, node " + std::to_string(node), CU_MEM_LOCATION_TYPE_HOST_NUMA, node});
  }
  probe.record("device_host_node", probe.host_node());
  probe.record("nodes_seen", any_node);
  const std::size_t total = fitting(probe, Place::host, 512_MiB, 64_MiB);
  std::string works;
  for (const Location& location : locations) {
    CUmemAllocationProp properties = frame_properties(probe, Place::host);
    properties.location.type = location.type;
    properties.location.id = location.id;
    Json row = {{"location", location.name}};
    try {
      row.update(create_and_release(probe, properties, 64_MiB, total));
      row["works"] = true;
      works += (works.empty() ? "" : ", ") + location.name;
    } catch (const Failure& failure) {
      row["works"] = false;
      row["reason"] = failure.what();
    }
    probe.append("by_location", row);
  }
  probe.headline("works: " + (works.empty() ? "none" : works));
}

// Doubles until the driver refuses a size, then halves the gap down to 64 MiB; or, where it refuses
// none, up to what --host-memory allows.
void host_frame_largest(Probe& probe) {
  const std::size_t most = fitting(probe, Place::host, ~std::size_t{0}, 64_MiB);
  std::size_t good = 0, bad = 0;
  std::string reason = "--host-memory or what the machine has available: the driver refused none";
  const auto attempt = [&](std::size_t bytes) {
    const Clock::time_point start = Clock::now();
    Json row = {{"frame_bytes", bytes}};
    try {
      const Frame frame(probe, Place::host, bytes);
      row["result"] = "created";
      row["create_gib_per_s"] = to_gib(bytes) / seconds_since(start);
      good = bytes;
    } catch (const Failure& failure) {
      reason = failure.what();
      row["result"] = reason;
      bad = bytes;
    }
    probe.append("tried", row);
  };
  for (std::size_t bytes = 64_MiB; !bad && bytes < most && !probe.half_time_over(); bytes *= 2)
    attempt(bytes);
  if (!bad && !probe.half_time_over()) attempt(most);
  while (bad && bad - good > 64_MiB && !probe.half_time_over())
    attempt((good + (bad - good) / 2) / 64_MiB * 64_MiB);
  if (!bad && good < most) reason = "the sub-test's time";
  probe.record("largest_frame_bytes", good);
  probe.record("limited_by", reason);
  probe.headline("largest " + size_name(good) + "; limited by " + reason);
  if (good == 0) throw Failure(reason);
}

void host_frame_count(Probe& probe) {
  std::vector<Frame> frames;
  std::string stopped_by = "the sub-test's time";
  const Footprint before;
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  while (!probe.half_time_over()) {
    try {
      frames.emplace_back(probe, Place::host, 2_MiB);
    } catch (const Failure& failure) {
      stopped_by = failure.what();
      break;
    }
    if (frames.size() % 1024 == 0) {
      probe.append("progress", {{"frames_count", frames.size()},
                                {"gib_per_s", to_gib(1024 * 2_MiB) / seconds_since(last)}});
      last = Clock::now();
    }
  }
  if (frames.empty()) throw Failure(stopped_by);
  probe.record("frames_count", frames.size());
  probe.record("stopped_by", stopped_by);
  probe.record("create_gib_per_s", to_gib(frames.size() * 2_MiB) / seconds_since(start));
  probe.record("footprint", Footprint().per_frame_since(before, frames.size()));
  probe.headline(std::to_string(frames.size()) + " frames of 2 MiB; stopped by: " + stopped_by);
}

void frame_footprint(Probe& probe) {
  std::string headline;
  for (const Place place : {Place::hbm, Place::host}) {
    const std::size_t count = fitting(probe, place, 256 * 2_MiB, 2_MiB) / 2_MiB;
    Json row = {{"place", name_of(place)}, {"frames_count", count}};
    std::vector<Frame> frames;
    frames.emplace_back(probe, place, 2_MiB);  // what the very first one sets up is not counted
    frames.clear();
    const Footprint empty;
    frames = make_frames(probe, place, 2_MiB, count);
    const Footprint created;
    Window window(probe, count * 2_MiB);
    const Footprint reserved;
    for (std::size_t i = 0; i < count; ++i) window.map(i * 2_MiB, frames[i]);
    const Footprint mapped;
    window.allow(0, count * 2_MiB);
    const Footprint accessible;
    row["create"] = created.per_frame_since(empty, count);
    row["map"] = mapped.per_frame_since(reserved, count);
    row["set_access"] = accessible.per_frame_since(mapped, count);
    row["reserve_vmas_count"] = reserved.vmas - created.vmas;
    if (place == Place::host) {
      CUmemAccessDesc cpu{};
      cpu.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA;
      cpu.location.id = probe.host_node();
      cpu.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
      const CUresult result = cu.cuMemSetAccess(window.base(), count * 2_MiB, &cpu, 1);
      row["cpu_access_result"] = name_of(result);
      row["set_cpu_access"] = Footprint().per_frame_since(accessible, count);
    }
    probe.append("by_place", row);
    headline += std::string(headline.empty() ? "" : ", ") + name_of(place) + " " +
                fixed(double(accessible.descriptors - empty.descriptors) / double(count), 2) +
                " fds " + fixed(double(accessible.vmas - empty.vmas) / double(count), 2) + " VMAs";
    probe.headline(headline + " a frame");
  }
}

}  // namespace vmm_probe
