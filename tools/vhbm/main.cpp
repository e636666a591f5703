// The vhbm command: reads the command line; the command that it names does the rest.
#include <CLI/CLI.hpp>
#include <string>

#include "commands.h"
#include "exit_code.h"

int main(int argc, char** argv) {
  using namespace vhbm::cli;
  CLI::App app{"vHBM gives an unmodified CUDA program more GPU memory than the GPU has."};
  app.set_version_flag("--version", std::string("vhbm ") + VHBM_VERSION);
  app.require_subcommand(1);
  app.footer("`vhbm COMMAND --help` says more.");
  int exit_code = exit_ok;
#define COMMAND(name) add_##name##_command(app, exit_code);
#include "commands.def"
#undef COMMAND
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  return exit_code;
}
