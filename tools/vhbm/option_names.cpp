// Asks the library's own table, so that both accept the same.
#include "option_names.h"

#include <algorithm>
#include <cstdlib>

#include "policies/policy.h"
#include "runtime/option_table.h"
#include "runtime/words.h"

namespace vhbm::cli {

const KnownWords& known_words() {
  static const KnownWords words = {{"policy", policy_names()}};
  return words;
}

bool take_setting(std::string_view assignment, std::string* why_not) {
  const std::size_t equals = assignment.find('=');
  const std::string name(assignment.substr(0, equals));
  if (equals == std::string_view::npos) {
    *why_not = "'" + name + "' is no assignment: expected name=value";
    return false;
  }
  const std::string value(assignment.substr(equals + 1));
  const std::size_t id = find_option(name);
  if (id == option_count) {
    const auto nearest = nearest_word(name, option_names());
    *why_not =
        "there is no option '" + name + "': " +
        (nearest ? "did you mean " + *nearest + "?" : "`vhbm config options` lists what there is");
    return false;
  }
  const OptionRow& row = option_rows()[id];
  Options options;
  if (const auto accepted = set_option(row, value, known_words(), options)) {
    *why_not = name + "=" + value + " is not accepted: expected " + *accepted;
    return false;
  }
  setenv(variable_of(row).c_str(), value.c_str(), 1);
  return true;
}

std::string options_help() {
  std::string text;
  for (const OptionRow& row : option_rows()) {
    std::string name = row.name;
    name.resize(std::max<std::size_t>(name.size() + 2, 20), ' ');
    text += "  " + name + row.text + "\n";
  }
  return text;
}

}  // namespace vhbm::cli
