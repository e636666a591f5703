// The commands of vhbm. Each lives in a file of its own, which adds it to the command line: its
// options, its help with examples and exit codes, and the callback that does the work and leaves
// what the process shall return in `exit_code`. To add one, write its file and its row in
// commands.def.
#pragma once

namespace CLI {
class App;
}

namespace vhbm::cli {

#define COMMAND(name) void add_##name##_command(CLI::App& app, int& exit_code);
#include "commands.def"
#undef COMMAND

}  // namespace vhbm::cli
