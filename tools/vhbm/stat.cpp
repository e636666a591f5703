// `vhbm stat`: what the processes under vHBM count. Reads the shared statistics; asks nothing of
// the processes themselves.
#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "runtime/options.h"
#include "runtime/stats_reader.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm stat                what every process under vHBM holds, moved and waited for
  vhbm stat 4711 --json    one process, for a program to read

Exit code: 0, or 1 when there is no such process.)";

struct Request {
  std::optional<pid_t> process;  // all of them without one
  bool json = false;
};

void print_json(const std::vector<StatsSnapshot>& found, bool one) {
  std::string text;
  for (const StatsSnapshot& snapshot : found) {
    if (!text.empty()) text += ",\n ";
    text += snapshot.to_json();
  }
  std::printf(one ? "%s\n" : "[%s]\n", text.c_str());
}

int stat(const Request& request) {
  const auto options = Options::from_environment();
  if (!options.ok()) {
    std::fprintf(stderr, "vhbm: %s\n", options.status().message().c_str());
    return exit_usage;
  }
  const std::string directory = state_directory(options->state_dir);
  std::vector<std::string> unreadable;
  std::vector<StatsSnapshot> found = read_live_stats(directory, &unreadable);
  if (request.process) {
    std::erase_if(found, [&](const StatsSnapshot& one) { return one.pid != *request.process; });
  }
  for (const std::string& file : unreadable) {
    std::fprintf(stderr, "vhbm: %s is of another version of vHBM and is left out\n", file.c_str());
  }
  if (request.json && (!found.empty() || !request.process)) {
    print_json(found, request.process.has_value());
  } else {
    for (const StatsSnapshot& snapshot : found) std::fputs(snapshot.to_text().c_str(), stdout);
  }
  if (!found.empty()) return exit_ok;
  if (request.process) {
    std::fprintf(stderr, "vhbm: process %d does not run under vHBM, or has not used a GPU yet\n",
                 static_cast<int>(*request.process));
  } else {
    std::fprintf(stderr, "vhbm: no process of this user runs under vHBM (looked in %s)\n",
                 directory.c_str());
  }
  return exit_no_process;
}

}  // namespace

void add_stat_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand("stat", "Show what processes under vHBM count");
  command->add_option("pid", request->process, "only this process");
  command->add_flag("--json", request->json, "print JSON");
  command->footer(examples);
  command->callback([request, &exit_code] { exit_code = stat(*request); });
}

}  // namespace vhbm::cli
