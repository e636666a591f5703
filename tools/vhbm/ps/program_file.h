// What a program's file says about whether a preload can reach it.
#pragma once

#include <string>

namespace vhbm::cli {

enum class ProgramKind {
  unknown,        // the file cannot be read
  ordinary,       // started through the dynamic loader
  static_linked,  // no loader takes part
  set_user,       // set-user-ID or set-group-ID: the loader does not hear LD_PRELOAD
  foreign,        // of another architecture than this command
};
[[nodiscard]] ProgramKind kind_of_program(const std::string& path);

}  // namespace vhbm::cli
