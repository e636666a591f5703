// With a summary the program is a child, and this process stands in for it: signals are handed on,
// and its end is ours. Signals are taken by waiting for them, so no handler runs.
#include "run.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "exit_code.h"
#include "library.h"
#include "option_names.h"
#include "runtime/options.h"
#include "summary.h"

namespace vhbm::cli {
namespace {

constexpr timespec look_interval{0, 50'000'000};

void say(const std::string& what) {
  std::fprintf(stderr, "vhbm: %s\n", what.c_str());
}

// Only returns when the program could not be started.
int execute(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  say("cannot run " + command[0] + ": " + std::strerror(error));
  return error == ENOENT ? exit_not_found : exit_not_executable;
}

// Those that a program is steered by, and the one that tells of its end.
sigset_t signals_to_take() {
  sigset_t set;
  sigemptyset(&set);
  for (int one : {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT}) {
    sigaddset(&set, one);
  }
  return set;
}

// Until the child has ended; its status.
int wait_for(pid_t child, const sigset_t& signals, Summary& summary) {
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return status;
    siginfo_t info{};
    const int taken = sigtimedwait(&signals, &info, &look_interval);
    summary.look(child);
    // What the terminal sends reaches the child anyway; what a process sends is meant for it.
    if (taken > 0 && taken != SIGCHLD && info.si_code <= 0) kill(child, taken);
  }
}

int run_with_summary(const RunRequest& request, const std::string& state_directory) {
  Summary summary(request.command, state_directory);
  const sigset_t signals = signals_to_take();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t child = fork();
  if (child < 0) {
    say(std::string("cannot start a process: ") + std::strerror(errno));
    return exit_failed;
  }
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, nullptr);
    _exit(execute(request.command));
  }
  const int status = wait_for(child, signals, summary);
  summary.finish(child, status);
  std::fputs(summary.to_text().c_str(), stderr);
  if (std::string why_not; !summary.write(request.summary, &why_not)) {
    say(why_not);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return exit_failed;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : exit_by_signal + WTERMSIG(status);
}

}  // namespace

int run(const RunRequest& request) {
  std::string why_not;
  for (const std::string& setting : request.settings) {
    if (!set_option(setting, &why_not)) {
      say(why_not);
      return exit_usage;
    }
  }
  const auto options = Options::from_environment();
  if (!options.ok()) {
    say(options.status().message());
    return exit_usage;
  }
  const std::string library = find_library(&why_not);
  if (library.empty()) {
    say(why_not);
    return exit_failed;
  }
  preload(library);
  if (request.summary.empty()) return execute(request.command);
  return run_with_summary(request, state_directory(options->state_dir));
}

}  // namespace vhbm::cli
