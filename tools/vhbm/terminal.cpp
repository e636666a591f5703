// NO_COLOR is the convention of https://no-color.org: present and not empty.
#include "terminal.h"

#include <unistd.h>

#include <cstdlib>

namespace vhbm::cli {
namespace {

bool has_colours(std::FILE* stream) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  return isatty(fileno(stream)) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

const char* code_of(Colour colour) {
  switch (colour) {
    case Colour::red:
      return "31";
    case Colour::green:
      return "32";
    case Colour::dim:
      return "2";
  }
  return "0";
}

}  // namespace

std::string painted(std::string_view text, Colour colour, std::FILE* stream) {
  if (!has_colours(stream)) return std::string(text);
  return std::string("\033[") + code_of(colour) + "m" + std::string(text) + "\033[0m";
}

}  // namespace vhbm::cli
