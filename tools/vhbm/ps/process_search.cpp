// A process counts when it has the driver's library mapped, holds a GPU's device file, is on NVML's
// list, or shares statistics.
#include "process_search.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "program_file.h"
#include "runtime/options.h"
#include "runtime/shared_file.h"

namespace vhbm::cli {
namespace {

constexpr const char* library_name = "libvhbm.so";

using Files = std::optional<std::vector<std::string>>;

bool any_named(const Files& files, const char* begin) {
  return files && std::any_of(files->begin(), files->end(), [&](const std::string& file) {
           return std::filesystem::path(file).filename().string().starts_with(begin);
         });
}

// /dev/nvidia0 and on; not nvidiactl, which who only asks holds too.
bool holds_gpu(const Files& files) {
  constexpr std::string_view device = "/dev/nvidia";
  return files && std::any_of(files->begin(), files->end(), [&](const std::string& file) {
           return file.starts_with(device) && file.size() > device.size() &&
                  file.find_first_not_of("0123456789", device.size()) == std::string::npos;
         });
}

class Search {
 public:
  explicit Search(const SearchPlaces& places) : places_(places), proc_(places.proc) {
    take_stats(places.state_directory);
  }

  Found run() {
    for (const pid_t process : proc_.processes()) look_at(process);
    // Those that share the directory from other containers have ids of their own there.
    for (auto& [pid, devices] : stats_) {
      GpuProcess other;
      other.pid = pid;
      other.command = devices.front().command;
      other.attachment = Attachment::attached;
      other.detail = "in another container: the pid is the one it has there";
      other.in_this_namespace = false;
      other.user = geteuid();
      other.devices = std::move(devices);
      found_.processes.push_back(std::move(other));
    }
    make_tree();
    return std::move(found_);
  }

 private:
  void take_stats(const std::string& directory) {
    for (StatsSnapshot& one : read_live_stats(directory, &found_.unreadable)) {
      stats_[one.pid].push_back(std::move(one));
    }
  }

  void look_at(pid_t process) {
    const Files mapped = proc_.mapped_files(process), open = proc_.open_files(process);
    const auto listed = places_.nvml.find(process);
    const bool has_driver = any_named(mapped, "libcuda.so.1");
    const bool has_library = any_named(mapped, library_name);
    const auto stats = stats_.find(process);
    const bool attached = stats != stats_.end() && (has_library || !mapped);
    if (!mapped && !open) ++found_.closed;
    if (listed == places_.nvml.end() && !has_driver && !holds_gpu(open) && !attached) return;
    const auto owner = proc_.owner(process);
    if (!owner) return;
    GpuProcess one;
    one.pid = process;
    one.user = *owner;
    one.command = proc_.command(process);
    if (listed != places_.nvml.end()) one.used = listed->second;
    if (attached) {
      one.attachment = Attachment::attached;
      one.devices = std::move(stats->second);
      stats_.erase(stats);
    } else if (!mapped) {
      one.attachment = Attachment::other_user;
    } else {
      judge(one, has_library);
    }
    found_.processes.push_back(std::move(one));
  }

  // Why it is not attached.
  void judge(GpuProcess& process, bool has_library) {
    const Files environment = proc_.environment(process.pid);
    const auto lookup = [&](const char* name) {
      return environment ? value_in(*environment, name) : nullptr;
    };
    if (has_library) {
      judge_loaded(process, lookup);
    } else {
      judge_unloaded(process, environment ? lookup("LD_PRELOAD") : nullptr);
    }
  }

  void judge_loaded(GpuProcess& process, const Options::Lookup& lookup) {
    if (Options::disabled_by(lookup)) {
      process.attachment = Attachment::disabled;
      process.detail = "VHBM_DISABLE is set in its environment";
      return;
    }
    // A file that it names is meant as it sees it.
    const auto seen_from_here = [&](const char* name) -> const char* {
      const char* value = lookup(name);
      if (value == nullptr || std::string_view(name) != "VHBM_CONFIG" || *value != '/') {
        return value;
      }
      config_ = proc_.within(process.pid, value);
      return config_.c_str();
    };
    const auto options = Options::from_environment(seen_from_here);
    if (!options.ok()) {
      process.attachment = Attachment::refused;
      process.detail = options.status().message();
      return;
    }
    std::string directory = options->state_dir;
    if (directory.empty()) directory = "/dev/shm/vhbm-" + std::to_string(process.user);
    const std::string path = proc_.within(process.pid, directory);
    for (StatsSnapshot& one : read_live_stats(path)) {
      if (one.pid == process.pid) process.devices.push_back(std::move(one));
    }
    if (process.devices.empty()) {
      process.attachment = Attachment::no_gpu_yet;
    } else {
      process.attachment = Attachment::elsewhere;
      process.detail = "it shares its statistics in " + directory;
    }
  }

  void judge_unloaded(GpuProcess& process, const char* preload) {
    switch (kind_of_program(proc_.executable(process.pid))) {
      case ProgramKind::foreign:
        process.attachment = Attachment::architecture;
        return;
      case ProgramKind::static_linked:
        process.attachment = Attachment::static_program;
        return;
      case ProgramKind::set_user:
        process.attachment = Attachment::set_user;
        return;
      case ProgramKind::ordinary:
      case ProgramKind::unknown:
        break;
    }
    const std::string preloaded = preload == nullptr ? "" : preload;
    if (preloaded.find(library_name) != std::string::npos) {
      process.attachment = Attachment::not_loaded;
      process.detail = "LD_PRELOAD names it, but it was not loaded: " + preloaded;
      return;
    }
    process.attachment = Attachment::no_preload;
    process.detail = "LD_PRELOAD in its environment does not name " + std::string(library_name);
    for (pid_t ancestor = proc_.parent(process.pid); ancestor > 1;
         ancestor = proc_.parent(ancestor)) {
      if (any_named(proc_.mapped_files(ancestor), library_name)) {
        process.attachment = Attachment::lost_preload;
        process.detail = "process " + std::to_string(ancestor) +
                         ", which started it, has the library; its environment was not handed on";
        return;
      }
    }
  }

  // Sets parents and children, and orders the list by them.
  void make_tree() {
    std::map<pid_t, GpuProcess*> by_pid;
    for (GpuProcess& one : found_.processes) {
      if (one.in_this_namespace) by_pid[one.pid] = &one;
    }
    for (GpuProcess& one : found_.processes) {
      if (!one.in_this_namespace) continue;
      for (pid_t up = proc_.parent(one.pid); up > 0; up = proc_.parent(up)) {
        const auto listed = by_pid.find(up);
        if (listed == by_pid.end()) continue;
        one.parent = up;
        listed->second->children.push_back(one.pid);
        break;
      }
    }
    std::vector<GpuProcess> ordered;
    const std::function<void(GpuProcess&)> take = [&](GpuProcess& one) {
      const std::vector<pid_t> children = one.children;
      ordered.push_back(std::move(one));
      for (const pid_t child : children) take(*by_pid[child]);
    };
    for (GpuProcess& one : found_.processes) {
      if (one.pid != 0 && one.parent == 0) take(one);
    }
    found_.processes = std::move(ordered);
  }

  const SearchPlaces& places_;
  const ProcFolder& proc_;
  std::map<pid_t, std::vector<StatsSnapshot>> stats_;  // not yet matched to a process
  std::string config_;
  Found found_;
};

}  // namespace

Found find_gpu_processes(const SearchPlaces& places) {
  return Search(places).run();
}

}  // namespace vhbm::cli
