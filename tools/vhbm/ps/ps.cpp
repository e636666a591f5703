// `vhbm ps`: the processes that use a GPU, whether vHBM is in each, and if not, why not.
#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.h"
#include "exit_code.h"
#include "nvml_processes.h"
#include "process_search.h"
#include "quantity.h"
#include "terminal.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm ps                 every GPU process that can be found, children below their parents
  vhbm ps --json          for a program to read
  sudo vhbm ps            those of other users too

A process is listed when it has the driver's library loaded, holds a GPU's device file, is on NVML's list,
or shares statistics in the state directory. HBM and HOST are what vHBM holds for it; for a process without
vHBM, HBM is what NVML says. VHBM says whether vHBM is in the process, and if not, why:

)";

constexpr const char* exit_codes = R"(
Exit code: 0 when each process listed is attached, or none is there; 1 when one is not.)";

struct Request {
  bool json = false;
};

std::string help_of_attachments() {
  std::string text;
  char line[200];
#define ATTACHMENT(name, word, to_do)                            \
  std::snprintf(line, sizeof line, "  %-22s %s\n", word, to_do); \
  text += line;
#include "attachment.def"
#undef ATTACHMENT
  return text;
}

std::string name_of_user(uid_t user) {
  const passwd* entry = getpwuid(user);
  return entry == nullptr ? std::to_string(user) : entry->pw_name;
}

bool is_attached(const GpuProcess& process) {
  return process.attachment == Attachment::attached || process.attachment == Attachment::elsewhere;
}

nlohmann::ordered_json json_of(const GpuProcess& process) {
  nlohmann::ordered_json object;
  object["pid"] = process.pid;
  object["parent"] = nullptr;
  if (process.parent != 0) object["parent"] = process.parent;
  object["children"] = process.children;
  object["user"] = process.user;
  object["command"] = process.command;
  object["attached"] = is_attached(process);
  object["state"] = word_of(process.attachment);
  object["detail"] = process.detail;
  object["to_do"] = to_do_about(process.attachment);
  object["in_this_namespace"] = process.in_this_namespace;
  object["nvml_bytes"] = nullptr;
  if (process.used) object["nvml_bytes"] = *process.used;
  object["devices"] = nlohmann::ordered_json::array();
  for (const StatsSnapshot& device : process.devices) {
    nlohmann::ordered_json one;
    one["device"] = device.device;
    for (const Stat stat : {Stat::hbm_bytes, Stat::hbm_limit, Stat::host_bytes, Stat::host_limit}) {
      one[stat_rows[static_cast<std::size_t>(stat)].name] = device[stat];
    }
    one["frozen"] = device.frozen != FreezeCause::none;
    object["devices"].push_back(std::move(one));
  }
  return object;
}

std::string hbm_text(const GpuProcess& process) {
  if (!process.devices.empty()) return bytes_text(process.sum(Stat::hbm_bytes));
  return process.used.value_or(0) == 0 ? "?" : bytes_text(*process.used);
}

std::string text_of(const std::vector<GpuProcess>& processes) {
  char line[256];
  std::snprintf(line, sizeof line, "%7s %-8s %-21s %11s %11s  %s\n", "PID", "USER", "VHBM", "HBM",
                "HOST", "COMMAND");
  std::string text = painted(line, Colour::dim, stdout);
  std::map<pid_t, std::size_t> depths;
  for (const GpuProcess& process : processes) {
    const std::size_t depth = process.parent == 0 ? 0 : depths[process.parent] + 1;
    depths[process.pid] = depth;
    char word[32];
    std::snprintf(word, sizeof word, "%-21s", word_of(process.attachment));
    std::snprintf(line, sizeof line, "%7d %-8s ", static_cast<int>(process.pid),
                  name_of_user(process.user).c_str());
    text += line + painted(word, is_attached(process) ? Colour::green : Colour::red, stdout);
    std::snprintf(
        line, sizeof line, " %11s %11s  ", hbm_text(process).c_str(),
        process.devices.empty() ? "-" : bytes_text(process.sum(Stat::host_bytes)).c_str());
    text += line + std::string(2 * depth, ' ') + printable(process.command) + "\n";
  }
  return text;
}

// What is to be said of those that are not simply attached, below the table.
std::string remarks_of(const std::vector<GpuProcess>& processes) {
  std::string text;
  for (const GpuProcess& process : processes) {
    if (process.attachment == Attachment::attached && process.detail.empty()) continue;
    const std::string to_do = to_do_about(process.attachment);
    text += "  " + std::to_string(process.pid) + " " + word_of(process.attachment) + ": " +
            process.detail + (process.detail.empty() || to_do.empty() ? "" : "; ") + to_do + "\n";
  }
  return text.empty() ? "" : "\n" + text;
}

int ps(const Request& request) {
  const auto directory = shared_directory(std::nullopt);
  if (!directory) return exit_usage;
  std::string why_not;
  SearchPlaces places{ProcFolder(), *directory, nvml_processes(std::chrono::seconds(10), &why_not)};
  const Found found = find_gpu_processes(places);
  tell_unreadable(found.unreadable);
  if (request.json) {
    auto list = nlohmann::ordered_json::array();
    for (const GpuProcess& process : found.processes) list.push_back(json_of(process));
    // A command line may hold any bytes; what is not UTF-8 is replaced.
    std::printf(
        "%s\n",
        list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
  } else if (found.processes.empty()) {
    std::printf("no process that uses a GPU was found\n");
  } else {
    std::fputs((text_of(found.processes) + remarks_of(found.processes)).c_str(), stdout);
  }
  if (!why_not.empty() && !request.json) {
    std::fprintf(stderr, "vhbm: NVML's list of processes is missing here: %s\n", why_not.c_str());
  }
  if (found.closed != 0 && geteuid() != 0) {
    std::fprintf(stderr, "vhbm: %zu processes of other users could not be looked into\n",
                 found.closed);
  }
  const bool all = std::all_of(found.processes.begin(), found.processes.end(), is_attached);
  return all ? exit_ok : exit_not_attached;
}

}  // namespace

void add_ps_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command =
      app.add_subcommand("ps", "List GPU processes: which run under vHBM, and why others do not");
  command->add_flag("--json", request->json, "print JSON");
  command->footer(examples + help_of_attachments() + exit_codes);
  command->callback([request, &exit_code] { exit_code = ps(*request); });
}

}  // namespace vhbm::cli
