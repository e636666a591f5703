// A file that can be locked has lost its process, and is left for the next writer to remove.
#include "runtime/stats_reader.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

namespace vhbm {
namespace {

std::optional<StatsSnapshot> snapshot_of(WatchedFile& watched) {
  const auto* file = static_cast<const StatsFile*>(
      watched.map(sizeof(StatsFile), StatsFile::magic_value, stats_layout()));
  if (file == nullptr) return std::nullopt;
  StatsSnapshot snapshot;
  snapshot.pid = static_cast<pid_t>(file->header.pid);
  snapshot.device = static_cast<int>(file->header.device);
  snapshot.started_at = file->header.started_at;
  snapshot.command.assign(file->header.command,
                          strnlen(file->header.command, sizeof file->header.command));
  snapshot.frozen = file->control.frozen.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < stat_count; ++i) {
    snapshot.values[i] = file->values[i].load(std::memory_order_relaxed);
  }
  return snapshot;
}

void sort(std::vector<StatsSnapshot>& snapshots) {
  std::sort(snapshots.begin(), snapshots.end(), [](const auto& a, const auto& b) {
    return std::pair(a.pid, a.device) < std::pair(b.pid, b.device);
  });
}

}  // namespace

std::string StatsSnapshot::to_json() const {
  nlohmann::ordered_json object;
  object["pid"] = pid;
  object["device"] = device;
  object["started_at"] = started_at;
  object["command"] = command;
  for (std::size_t i = 0; i < stat_count; ++i) object[stat_rows[i].name] = values[i];
  object["frozen_by"] = frozen == FreezeCause::none      ? nlohmann::ordered_json(nullptr)
                        : frozen == FreezeCause::mps     ? "mps"
                        : frozen == FreezeCause::request ? "request"
                                                         : "invariant";
  // A command line may hold any bytes; what is not UTF-8 is replaced.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<StatsSnapshot> read_live_stats(const std::string& directory,
                                           std::vector<std::string>* unreadable) {
  std::vector<StatsSnapshot> live;
  for (const std::string& path : shared_files(directory, stats_suffix)) {
    WatchedFile watched(path);
    if (!watched.is_open() || !watched.is_held()) continue;
    if (auto snapshot = snapshot_of(watched)) {
      live.push_back(std::move(*snapshot));
    } else if (unreadable != nullptr) {
      unreadable->push_back(path);
    }
  }
  sort(live);
  return live;
}

std::vector<StatsSnapshot> read_last_stats(const std::string& directory, pid_t pid) {
  std::vector<StatsSnapshot> last;
  for (const std::string& path : shared_files_of(directory, stats_suffix, pid)) {
    WatchedFile watched(path);
    if (!watched.is_open()) continue;
    if (auto snapshot = snapshot_of(watched)) last.push_back(std::move(*snapshot));
  }
  sort(last);
  return last;
}

}  // namespace vhbm
