// Runs a shell command and keeps what it said.
#pragma once

#include <string>

struct CommandResult {
  int exit_code = -1;
  std::string output;
};

// Standard output, and standard error where the command joins them.
CommandResult shell(const std::string& command);
