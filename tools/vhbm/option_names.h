// The options by name, as a user sets them on the command line.
#pragma once

#include <string>
#include <string_view>

#include "runtime/options.h"

namespace vhbm::cli {

// The words that the library accepts where the table of options does not list them.
[[nodiscard]] const KnownWords& known_words();

// Takes "name=value" into the environment as VHBM_<NAME>. False, with the reason, for an unknown
// name or a value that is not accepted.
[[nodiscard]] bool take_setting(std::string_view assignment, std::string* why_not);

// One line an option: its name and what it is.
[[nodiscard]] std::string options_help();

}  // namespace vhbm::cli
