// `vhbm run`: starts a program with the library in front of it, in this process's place. With a
// summary the program is a child, and this process stands in for it: signals are handed on, and its
// end is ours. Signals are taken by waiting for them, so no handler runs.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "banner.h"
#include "commands.h"
#include "exit_code.h"
#include "library.h"
#include "library_path.h"
#include "option_names.h"
#include "runtime/config_file.h"
#include "runtime/host_promises.h"
#include "runtime/kv_layouts.h"
#include "runtime/options.h"
#include "summary.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm run --hbm-limit 60GiB -- python -m vllm.entrypoints.openai.api_server --model NAME
  vhbm run --hbm-limit 75% --host-limit 200GiB --summary run.json -- ./server
  vhbm run --config server.toml --set log=info -- ./server

On a terminal it first says, on stderr, what it found and which limits hold; --quiet leaves that out,
and --verbose says it also where stderr is no terminal.

Exit code: the program's own, or 128 plus the signal that ended it; 126 when it cannot be executed,
127 when it is not found, 64 when the command line or the configuration is not accepted.

Options for --set (each is also a line in a file for --config, and the environment variable
VHBM_<NAME>; `vhbm config options` says what each accepts):
)";

constexpr timespec look_interval{0, 50'000'000};

struct Request {
  std::vector<std::string> command;
  std::vector<std::string> settings;  // "name=value"
  std::string hbm_limit, host_limit;  // settings like any other; what is named last counts
  std::string config;                 // file; empty for the one of VHBM_CONFIG, if any
  std::string summary;                // file; empty for none
  bool quiet = false, verbose = false;
  bool via_library_path = false;  // no preload: offered as libcuda.so.1
};

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

int run_with_summary(const Request& request, const std::string& state_directory) {
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

// The library reads the file by itself, whatever folder the program has gone to by then. False, and
// said why, when it would refuse it.
bool take_config(const std::string& file) {
  Options options;
  const auto refusals = read_config_file(file, known_words(), options);
  for (const std::string& line : refusals) say(line);
  std::error_code error;
  setenv("VHBM_CONFIG", std::filesystem::absolute(file, error).c_str(), 1);
  return refusals.empty();
}

// This command was itself started by `vhbm run`, which has said it all.
bool runs_under(const std::string& library) {
  const char* preloaded = std::getenv("LD_PRELOAD");
  return preloaded != nullptr && std::string_view(preloaded).find(library) != std::string::npos;
}

// Does not return when no summary is asked for, unless the program could not be started.
int run(const Request& request) {
  std::vector<std::string> settings = request.settings;
  if (!request.hbm_limit.empty()) settings.push_back("hbm_limit=" + request.hbm_limit);
  if (!request.host_limit.empty()) settings.push_back("host_limit=" + request.host_limit);
  std::string why_not;
  for (const std::string& setting : settings) {
    if (!take_setting(setting, &why_not)) {
      say(why_not);
      return exit_usage;
    }
  }
  if (!request.config.empty() && !take_config(request.config)) return exit_usage;
  auto options = Options::from_environment(known_words());
  if (!options.ok() && Options::disabled_by_environment()) options = Options();
  if (!options.ok()) {
    say(options.status().message());
    return exit_usage;
  }
  if (const auto layouts = KvLayouts::load(options->kv_layouts); !layouts.ok()) {
    say(layouts.status().message());
    return exit_usage;
  }
  // The program may look for them from another folder.
  if (!options->kv_layouts.empty()) {
    setenv("VHBM_KV_LAYOUTS", absolute_kv_layouts(options->kv_layouts).c_str(), 1);
  }
  const std::string library = find_library(&why_not);
  if (library.empty()) {
    say(why_not);
    return exit_failed;
  }
  if (!request.quiet && (request.verbose || isatty(STDERR_FILENO) == 1) && !runs_under(library)) {
    const HostPromises promised = promised_to_others(state_directory(options->state_dir));
    std::fputs(banner(request.command, *options, available_host_memory(promised)).c_str(), stderr);
  }
  if (!request.via_library_path) {
    preload(library);
  } else if (!offer_in_library_path(library, state_directory(options->state_dir), &why_not)) {
    say(why_not);
    return exit_failed;
  }
  if (request.summary.empty()) return execute(request.command);
  return run_with_summary(request, state_directory(options->state_dir));
}

}  // namespace

void add_run_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand("run", "Run a program under vHBM");
  command->add_option("--hbm-limit", request->hbm_limit,
                      "HBM it may hold: \"60GiB\", \"75%\", or bytes; all but a reserve otherwise");
  command->add_option("--host-limit", request->host_limit,
                      "page-locked host memory it may hold; half of what is available otherwise");
  command
      ->add_option("--config", request->config,
                   "take options from this TOML file; --set counts more")
      ->type_name("FILE");
  command->add_option("--set", request->settings, "set any option, as name=value; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  command
      ->add_option("--summary", request->summary,
                   "write what it came to into this file, as JSON, when the program ends")
      ->type_name("FILE");
  CLI::Option* quiet =
      command->add_flag("--quiet", request->quiet, "do not say what was found and what holds");
  command->add_flag("--verbose", request->verbose, "say it also where stderr is no terminal")
      ->excludes(quiet);
  command->add_flag("--via-library-path", request->via_library_path,
                    "offer the library as libcuda.so.1 in LD_LIBRARY_PATH instead of LD_PRELOAD: "
                    "for programs that a preload does not reach (RTLD_DEEPBIND)");
  command->add_option("command", request->command, "the program and its arguments, after --")
      ->type_name("COMMAND")
      ->required();
  command->footer(examples + options_help());
  command->positionals_at_end();
  command->callback([request, &exit_code] { exit_code = run(*request); });
}

}  // namespace vhbm::cli
