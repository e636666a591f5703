// `vhbm off`: freezes paging in a process, by a word in its shared file that its pager reads in
// each round. Only who may write that file can: the same user, or root.
#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "runtime/shared_file.h"
#include "runtime/stats.h"
#include "steering.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Example:
  vhbm off 4711         nothing moves between HBM and host any more; process 4711 goes on as it is
  vhbm off server.py    the same, by the name of what it runs

There is no way back but to start the process anew. `vhbm stat 4711` shows that it is frozen.

Exit code: 0 when the process has answered that it is frozen; 1 when there is no such process, or it
does not run under vHBM; 2 when it was frozen already; 3 when it did not answer within 2 seconds;
70 when it cannot be steered: another version of vHBM, or another user's.)";

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{2};
constexpr std::chrono::milliseconds look_interval{5};

// One paged device of the process.
struct Target {
  std::unique_ptr<WatchedFile> file;
  Control* control;
};

int refuse(pid_t process, const std::string& why) {
  std::fprintf(stderr, "vhbm: process %d %s\n", static_cast<int>(process), why.c_str());
  return exit_failed;
}

bool wait_for_answer(const Target& target) {
  const Clock::time_point deadline = Clock::now() + patience;
  while (target.control->frozen.load() == FreezeCause::none) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(look_interval);
  }
  return true;
}

int off(pid_t process) {
  const auto directory = shared_directory(process);
  if (!directory) return exit_usage;
  std::vector<Target> targets;
  for (const std::string& path : shared_files_of(*directory, stats_suffix, process)) {
    auto file = std::make_unique<WatchedFile>(path, WatchedFile::Access::write);
    if (!file->is_open()) {
      if (errno == ENOENT) continue;
      return refuse(process, "cannot be steered: " + path + ": " + std::strerror(errno));
    }
    if (!file->is_held()) continue;
    auto* table = static_cast<StatsFile*>(
        file->map(sizeof(StatsFile), StatsFile::magic_value, stats_layout()));
    if (table == nullptr) {
      return refuse(process, "runs under another version of vHBM: use that version's `vhbm off`");
    }
    targets.push_back({std::move(file), &table->control});
  }
  if (targets.empty()) return tell_no_process(process, *directory);

  bool any = false;
  for (const Target& target : targets) {
    if (target.control->frozen.load() != FreezeCause::none) continue;
    any = true;
    target.control->freeze_requested.store(1);
  }
  if (!any) {
    const FreezeCause cause = targets.front().control->frozen.load();
    std::fprintf(stderr, "vhbm: process %d is frozen already%s\n", static_cast<int>(process),
                 cause == FreezeCause::invariant ? ": an invariant broke, see its log"
                 : cause == FreezeCause::mps     ? ", since MPS shares its GPU"
                                                 : ", by an earlier `vhbm off`");
    return exit_already_frozen;
  }
  for (const Target& target : targets) {
    if (wait_for_answer(target)) continue;
    std::fprintf(stderr,
                 "vhbm: process %d did not answer within %lld s. The request stands: it freezes as "
                 "soon as its pager runs\n",
                 static_cast<int>(process), static_cast<long long>(patience.count()));
    return exit_no_answer;
  }
  std::printf("process %d is frozen: nothing moves between HBM and host any more\n",
              static_cast<int>(process));
  return exit_ok;
}

}  // namespace

void add_off_command(CLI::App& app, int& exit_code) {
  const auto process = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("off", "Freeze paging in a process, which goes on");
  add_process(*command, *process);
  command->footer(examples);
  command->callback([process, &exit_code] {
    const auto found = find_process(*process);
    exit_code = found ? off(*found) : exit_no_process;
  });
}

}  // namespace vhbm::cli
