// The options by name, as a user sets them on the command line.
#pragma once

#include <string>
#include <string_view>

namespace vhbm::cli {

// Takes "name=value" into the environment as VHBM_<NAME>. False, with the reason, for an unknown
// name.
[[nodiscard]] bool set_option(std::string_view assignment, std::string* why_not);

// One line an option: its name and what it is.
[[nodiscard]] std::string options_help();

}  // namespace vhbm::cli
