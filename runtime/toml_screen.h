// A look at a TOML text before it is parsed, for what toml++ 3.3 is not up to, as mutating files
// showed, and no configuration has.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/toml_document.h"

namespace vhbm {

[[nodiscard]] constexpr bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

// The first line that must not be parsed; nullopt for a text that may.
[[nodiscard]] std::optional<TomlError> screen_toml(std::string_view text);

}  // namespace vhbm
