// Colour, for people only: what is piped or written to a file stays plain text.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace vhbm::cli {

enum class Colour { red, green, dim };

// `text` in that colour where `stream` is a terminal that has colours and NO_COLOR is not set.
[[nodiscard]] std::string painted(std::string_view text, Colour colour, std::FILE* stream);

}  // namespace vhbm::cli
