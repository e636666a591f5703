// The vhbm command: reads the command line and hands on.
#include <CLI/CLI.hpp>
#include <string>

#include "exit_code.h"
#include "option_names.h"
#include "run.h"
#include "stat.h"

namespace {

using namespace vhbm::cli;

constexpr const char* run_examples = R"(Examples:
  vhbm run --hbm-limit 60GiB -- python -m vllm.entrypoints.openai.api_server --model NAME
  vhbm run --hbm-limit 75% --host-limit 200GiB --summary run.json -- ./server
  vhbm run --set log=info --set policy=lru -- ./server

Exit code: the program's own, or 128 plus the signal that ended it; 126 when it cannot be executed,
127 when it is not found, 64 when the command line is not accepted.

Options for --set (each is also the environment variable VHBM_<NAME>):
)";

constexpr const char* stat_examples = R"(Examples:
  vhbm stat                what every process under vHBM holds, moved and waited for
  vhbm stat 4711 --json    one process, for a program to read

Exit code: 0, or 1 when there is no such process.)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"vHBM gives an unmodified CUDA program more GPU memory than the GPU has."};
  app.set_version_flag("--version", std::string("vhbm ") + VHBM_VERSION);
  app.require_subcommand(1);
  app.footer("`vhbm COMMAND --help` says more.");

  RunRequest run_request;
  std::string hbm_limit, host_limit;
  CLI::App* run_command = app.add_subcommand("run", "Run a program under vHBM");
  run_command->add_option(
      "--hbm-limit", hbm_limit,
      "HBM it may hold: \"60GiB\", \"75%\", or bytes; all but a reserve otherwise");
  run_command->add_option(
      "--host-limit", host_limit,
      "page-locked host memory it may hold; half of what is available otherwise");
  run_command
      ->add_option("--set", run_request.settings, "set any option, as name=value; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  run_command->add_option("--summary", run_request.summary,
                          "write what it came to into this file, as JSON, when the program ends");
  run_command->add_option("command", run_request.command, "the program and its arguments, after --")
      ->required();
  run_command->footer(run_examples + options_help());
  run_command->positionals_at_end();

  StatRequest stat_request;
  pid_t process = 0;
  CLI::App* stat_command = app.add_subcommand("stat", "Show what processes under vHBM count");
  CLI::Option* pid = stat_command->add_option("pid", process, "only this process");
  stat_command->add_flag("--json", stat_request.json, "print JSON");
  stat_command->footer(stat_examples);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  if (*run_command) {
    // The named limits are settings like any other; what is named last counts.
    if (!hbm_limit.empty()) run_request.settings.push_back("hbm_limit=" + hbm_limit);
    if (!host_limit.empty()) run_request.settings.push_back("host_limit=" + host_limit);
    return run(run_request);
  }
  if (*pid) stat_request.process = process;
  return stat(stat_request);
}
