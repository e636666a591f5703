// What options there are, for people, for programs, and as a file to begin with.
#pragma once

#include <string>

namespace vhbm::cli {

[[nodiscard]] std::string options_as_text();
// A list of objects: name, variable, type, default, accepted, text.
[[nodiscard]] std::string options_as_json();
// A configuration file that documents every option and sets none.
[[nodiscard]] std::string options_as_toml();

}  // namespace vhbm::cli
