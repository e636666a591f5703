// `vhbm stat`: what the processes under vHBM count. Reads the shared statistics; asks nothing of
// the processes themselves.
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "rate_meter.h"
#include "runtime/region_table.h"
#include "runtime/stats_reader.h"
#include "stat_text.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm stat                     what every process under vHBM holds, moved and waited for
  vhbm stat 4711 --json         one process, for a program to read
  vhbm stat 4711 --watch        again every second, with rates, until it ends or Ctrl-C
  vhbm stat --watch 5 --json    every process, one line of JSON each five seconds

Exit code: 0, or 1 when there is no such process.)";

struct Request {
  std::optional<pid_t> process;  // all of them without one
  bool json = false;
  bool all = false;
  bool watch = false;
  double seconds = 1;  // between two looks
};

// The processes' devices, each with its rates where it was seen before.
class View {
 public:
  View(const Request& request, const std::string& directory)
      : request_(request), directory_(directory) {}

  std::string show(const std::vector<StatsSnapshot>& found) {
    std::string text;
    const auto advice = advice_for(found);
    for (const StatsSnapshot& snapshot : found) {
      const auto rates = meter_.look(snapshot, RateMeter::Clock::now());
      if (!text.empty()) text += request_.json ? "," : "\n";
      text += request_.json ? stats_json(snapshot, rates)
                            : stat_text(snapshot, rates ? &*rates : nullptr, request_.all,
                                        advice_of(advice, snapshot), stdout);
    }
    if (!request_.json) return text;
    return (request_.process && found.size() == 1 ? text : "[" + text + "]") + "\n";
  }

 private:
  // Read only where there is some.
  [[nodiscard]] std::vector<RegionsSnapshot> advice_for(
      const std::vector<StatsSnapshot>& found) const {
    const bool any = std::any_of(found.begin(), found.end(), [](const StatsSnapshot& one) {
      return one[Stat::kv_scattered] != 0;
    });
    return any ? read_live_regions(directory_) : std::vector<RegionsSnapshot>();
  }
  [[nodiscard]] static std::string advice_of(const std::vector<RegionsSnapshot>& all,
                                             const StatsSnapshot& of) {
    for (const RegionsSnapshot& one : all) {
      if (one.pid == of.pid && one.device == of.device) return one.advice;
    }
    return {};
  }

  const Request& request_;
  const std::string& directory_;
  RateMeter meter_;
};

// Over what stood there before, as far as the window is high and wide (without wrapping); appended
// where it is no terminal.
void draw(const std::string& text, bool in_place, bool first) {
  if (!in_place) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    return;
  }
  winsize window{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 1;
  std::string drawn = first ? "\033[?7l\033[H\033[2J" : "\033[?7l\033[H";
  int left = known ? window.ws_row - 1 : 1000;
  for (std::size_t begin = 0; begin < text.size() && left > 0; --left) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    drawn += text.substr(begin, end - begin) + "\033[K\n";
    begin = end + 1;
  }
  std::fputs((drawn + "\033[J\033[?7h").c_str(), stdout);
  std::fflush(stdout);
}

std::vector<StatsSnapshot> look(const Request& request, const std::string& directory,
                                std::vector<std::string>* unreadable) {
  std::vector<StatsSnapshot> found = read_live_stats(directory, unreadable);
  if (request.process) {
    std::erase_if(found, [&](const StatsSnapshot& one) { return one.pid != *request.process; });
  }
  return found;
}

// Until the processes have ended, or somebody ends this.
void watch(const Request& request, const std::string& directory, View& view) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const bool in_place = !request.json && isatty(STDOUT_FILENO) == 1;
  const auto whole = static_cast<time_t>(request.seconds);
  const timespec interval{whole,
                          static_cast<long>((request.seconds - static_cast<double>(whole)) * 1e9)};
  for (bool first = true;; first = false) {
    const std::vector<StatsSnapshot> found = look(request, directory, nullptr);
    if (found.empty()) break;
    draw((first || request.json || in_place ? "" : "\n") + view.show(found), in_place, first);
    if (sigtimedwait(&ends, nullptr, &interval) > 0) return;
  }
  if (request.json) return;
  std::printf("%s\n", request.process ? "the process has ended" : "all processes have ended");
}

int stat(const Request& request) {
  const auto directory = shared_directory(request.process);
  if (!directory) return exit_usage;
  std::vector<std::string> unreadable;
  const std::vector<StatsSnapshot> found = look(request, *directory, &unreadable);
  tell_unreadable(unreadable);
  View view(request, *directory);
  if (found.empty()) {
    if (request.json && !request.process) std::fputs("[]\n", stdout);
    return tell_no_process(request.process, *directory);
  }
  if (request.watch) {
    watch(request, *directory, view);
  } else {
    std::fputs(view.show(found).c_str(), stdout);
  }
  return exit_ok;
}

}  // namespace

void add_stat_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand("stat", "Show what processes under vHBM count");
  command->add_option("pid", request->process, "only this process");
  command->add_flag("--json", request->json, "print JSON");
  command->add_flag("--all", request->all, "rows of value 0 too");
  CLI::Option* watched =
      command
          ->add_option("--watch", request->seconds,
                       "show it again every SECONDS (1), with rates, until it ends or Ctrl-C")
          ->expected(0, 1)
          ->type_name("SECONDS")
          ->check(CLI::Range(0.05, 3600.0));
  command->footer(examples);
  command->callback([request, watched, &exit_code] {
    request->watch = watched->count() != 0;
    exit_code = stat(*request);
  });
}

}  // namespace vhbm::cli
