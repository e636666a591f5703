// Expands the library's own table, so that both accept the same.
#include "option_names.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace vhbm::cli {
namespace {

struct Row {
  const char* name;
  const char* text;
};
constexpr Row rows[] = {
#define OPTION(type, name, initial, text) {#name, text},
#include "runtime/options.def"
#undef OPTION
};

}  // namespace

bool set_option(std::string_view assignment, std::string* why_not) {
  const std::size_t equals = assignment.find('=');
  const std::string name(assignment.substr(0, equals));
  if (equals == std::string_view::npos) {
    *why_not = "'" + name + "' is no assignment: expected name=value";
    return false;
  }
  std::string names;
  for (const Row& row : rows) {
    if (name == row.name) {
      std::string variable = "VHBM_" + name;
      for (char& c : variable) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      setenv(variable.c_str(), std::string(assignment.substr(equals + 1)).c_str(), 1);
      return true;
    }
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  *why_not = "there is no option '" + name + "'; there are " + names;
  return false;
}

std::string options_help() {
  std::string text;
  for (const Row& row : rows) {
    std::string name = row.name;
    name.resize(std::max<std::size_t>(name.size() + 2, 20), ' ');
    text += "  " + name + row.text + "\n";
  }
  return text;
}

}  // namespace vhbm::cli
