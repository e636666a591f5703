// A file that can be locked has lost its process, and is left for the next writer to remove.
#include "runtime/stats_reader.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace vhbm {
namespace {

std::string readable(std::uint64_t value, StatUnit unit) {
  char text[64];
  const auto number = static_cast<double>(value);
  if (unit == StatUnit::bytes) {
    static constexpr const char* names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t i = 0;
    double scaled = number;
    while (scaled >= 1024 && i + 1 < std::size(names)) {
      scaled /= 1024;
      ++i;
    }
    std::snprintf(text, sizeof text, i == 0 ? "%.0f %s" : "%.1f %s", scaled, names[i]);
  } else if (unit == StatUnit::nanoseconds) {
    if (value >= 1'000'000'000) {
      std::snprintf(text, sizeof text, "%.2f s", number / 1e9);
    } else {
      std::snprintf(text, sizeof text, "%.2f ms", number / 1e6);
    }
  } else {
    std::snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(value));
  }
  return text;
}

// Owns an open file.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] bool is_open() const { return number_ >= 0; }
  [[nodiscard]] bool is_held() const { return flock(number_, LOCK_SH | LOCK_NB) != 0; }
  [[nodiscard]] int number() const { return number_; }

 private:
  const int number_;
};

std::optional<StatsSnapshot> snapshot_of(const Descriptor& descriptor) {
  struct stat status {};
  if (fstat(descriptor.number(), &status) != 0 ||
      status.st_size != static_cast<off_t>(sizeof(StatsFile))) {
    return std::nullopt;
  }
  void* memory = mmap(nullptr, sizeof(StatsFile), PROT_READ, MAP_SHARED, descriptor.number(), 0);
  if (memory == MAP_FAILED) return std::nullopt;
  const auto* file = static_cast<const StatsFile*>(memory);
  std::optional<StatsSnapshot> snapshot;
  if (file->magic == StatsFile::magic_value && file->layout == stats_layout()) {
    snapshot.emplace();
    snapshot->pid = static_cast<pid_t>(file->pid);
    snapshot->started_at = file->started_at;
    snapshot->command.assign(file->command, strnlen(file->command, sizeof file->command));
    for (std::size_t i = 0; i < stat_count; ++i) {
      snapshot->values[i] = file->values[i].load(std::memory_order_relaxed);
    }
  }
  munmap(memory, sizeof(StatsFile));
  return snapshot;
}

}  // namespace

std::string StatsSnapshot::to_text() const {
  std::string text = "process " + std::to_string(pid) + "  " + command + "\n";
  for (std::size_t i = 0; i < stat_count; ++i) {
    char line[256];
    std::snprintf(line, sizeof line, "  %-26s %14s  %s\n", stat_rows[i].name,
                  readable(values[i], stat_rows[i].unit).c_str(), stat_rows[i].text);
    text += line;
  }
  return text;
}

std::string StatsSnapshot::to_json() const {
  nlohmann::ordered_json object;
  object["pid"] = pid;
  object["started_at"] = started_at;
  object["command"] = command;
  for (std::size_t i = 0; i < stat_count; ++i) object[stat_rows[i].name] = values[i];
  // A command line may hold any bytes; what is not UTF-8 is replaced.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<StatsSnapshot> read_live_stats(const std::string& directory,
                                           std::vector<std::string>* unreadable) {
  std::vector<StatsSnapshot> live;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() != ".stats") continue;
    const Descriptor descriptor(entry.path());
    if (!descriptor.is_open() || !descriptor.is_held()) continue;
    if (auto snapshot = snapshot_of(descriptor)) {
      live.push_back(std::move(*snapshot));
    } else if (unreadable != nullptr) {
      unreadable->push_back(entry.path());
    }
  }
  std::sort(live.begin(), live.end(),
            [](const StatsSnapshot& a, const StatsSnapshot& b) { return a.pid < b.pid; });
  return live;
}

std::optional<StatsSnapshot> read_last_stats(const std::string& directory, pid_t pid) {
  const Descriptor descriptor(directory + "/" + std::to_string(pid) + ".stats");
  return descriptor.is_open() ? snapshot_of(descriptor) : std::nullopt;
}

}  // namespace vhbm
