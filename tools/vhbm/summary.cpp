// A process's statistics outlive it until the next one starts, so the last values are read after
// the end.
#include "summary.h"

#include <sys/wait.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "process_tree.h"

namespace vhbm::cli {
namespace {

std::string mebibytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

std::string milliseconds(std::uint64_t nanoseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(nanoseconds) / 1e6);
  return text;
}

}  // namespace

Summary::Summary(std::vector<std::string> command, std::string state_directory)
    : command_(std::move(command)), state_directory_(std::move(state_directory)) {}

void Summary::look(pid_t root) {
  for (StatsSnapshot& live : read_live_stats(state_directory_)) {
    const bool known = devices_.count({live.pid, live.device}) != 0;
    if (known || descends_from(live.pid, root)) take(std::move(live));
  }
}

void Summary::finish(pid_t root, int status) {
  status_ = status;
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  for (StatsSnapshot& last : read_last_stats(state_directory_, root)) take(std::move(last));
  for (auto& [key, snapshot] : devices_) {
    for (StatsSnapshot& last : read_last_stats(state_directory_, snapshot.pid)) {
      if (last.device == snapshot.device && last.started_at == snapshot.started_at) {
        snapshot = std::move(last);
      }
    }
  }
}

StatsSnapshot Summary::total() const {
  StatsSnapshot sum;
  for (const auto& [key, one] : devices_) {
    for (std::size_t i = 0; i < stat_count; ++i) {
      sum.values[i] = stat_rows[i].kind == StatKind::peak ? std::max(sum.values[i], one.values[i])
                                                          : sum.values[i] + one.values[i];
    }
  }
  return sum;
}

bool Summary::write(const std::string& file, std::string* why_not) const {
  nlohmann::ordered_json report;
  report["command"] = command_;
  report["exit_status"] = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  report["signal"] = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  report["seconds"] = seconds_;
  const StatsSnapshot sum = total();
  for (std::size_t i = 0; i < stat_count; ++i) {
    report["stats"][stat_rows[i].name] = sum.values[i];
  }
  report["processes"] = nlohmann::ordered_json::array();
  for (const auto& [key, one] : devices_) {
    report["processes"].push_back(nlohmann::ordered_json::parse(one.to_json()));
  }
  std::ofstream out(file);
  // A command line may hold any bytes; what is not UTF-8 is replaced.
  out << report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  out.flush();
  if (!out) *why_not = "cannot write the summary to " + file;
  return static_cast<bool>(out);
}

std::string Summary::to_text() const {
  std::set<pid_t> processes;
  for (const auto& [key, one] : devices_) processes.insert(one.pid);
  if (processes.empty()) {
    return "vhbm: no process of this run used a GPU through vHBM\n";
  }
  const StatsSnapshot sum = total();
  std::string text = "vhbm: " + std::to_string(processes.size()) +
                     (processes.size() == 1 ? " process" : " processes") + ", peak HBM " +
                     mebibytes(sum[Stat::peak_hbm_bytes]) + " of " +
                     mebibytes(sum[Stat::hbm_limit]) + "\n";
  text += "vhbm: moved " + mebibytes(sum[Stat::promoted_bytes]) + " to HBM and " +
          mebibytes(sum[Stat::evicted_bytes]) + " to host in " + std::to_string(sum[Stat::flips]) +
          " flips, stalled " + milliseconds(sum[Stat::stall_ns]) + " in all and " +
          milliseconds(sum[Stat::stall_max_ns]) + " at most\n";
  if (sum[Stat::frozen] != 0) text += "vhbm: frozen, see its message above\n";
  return text;
}

}  // namespace vhbm::cli
