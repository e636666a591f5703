// Expands the library's own table of options.
#include "option_listing.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "option_names.h"
#include "runtime/option_table.h"

namespace vhbm::cli {
namespace {

constexpr std::size_t line_width = 100;

constexpr const char* toml_head =
    R"(# What vHBM can be told, each option with its default. Copy this file, take the # away from the
# lines to change, and name the file: `vhbm run --config FILE -- COMMAND`, or VHBM_CONFIG=FILE in
# the environment of the server. VHBM_<OPTION> in the environment counts more than the file.
# `vhbm config check FILE` says what is wrong with it. docs/configuration.md tells the rest.
#
# This file is what `vhbm config options --toml` writes.
)";

constexpr const char* toml_tail = R"(
# What regions hold, for those that vHBM tags wrongly: any number of rules, the first that matches a
# region's size decides. They stand below all options.
# min_size, max_size: which regions, by their size in bytes, both included; default: any.
# is: weights, kv, workspace or other. held = true: such regions stay where they are, never paged.
#
# [[tag]]
# min_size = "1GiB"
# is = "kv"
)";

// The words of `text`, broken where a line would become too long.
std::string wrapped(const std::string& text, const std::string& before_each_line) {
  std::istringstream words(text);
  std::string result, line, word;
  while (words >> word) {
    if (!line.empty() && before_each_line.size() + line.size() + 1 + word.size() > line_width) {
      result += before_each_line + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return result + before_each_line + line + "\n";
}

// A value as a configuration file has it.
std::string toml_value(const std::string& value, bool quoted) {
  if (!quoted) return value;
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

}  // namespace

std::string options_as_text() {
  const Options defaults;
  std::string text;
  for (const OptionRow& row : option_rows()) {
    const std::string value = row.write(defaults);
    text += std::string(row.name) + " = " + (value.empty() ? "\"\"" : value) + "\n";
    text += wrapped(row.text, "    ");
    text += wrapped(std::string(row.type) + ": " + accepted_by(row, known_words()), "    ");
  }
  return text;
}

std::string options_as_json() {
  const Options defaults;
  auto list = nlohmann::ordered_json::array();
  for (const OptionRow& row : option_rows()) {
    list.push_back({{"name", row.name},
                    {"variable", variable_of(row)},
                    {"type", row.type},
                    {"default", row.write(defaults)},
                    {"accepted", accepted_by(row, known_words())},
                    {"text", row.text}});
  }
  return list.dump(2) + "\n";
}

std::string options_as_toml() {
  const Options defaults;
  std::string text = toml_head;
  for (const OptionRow& row : option_rows()) {
    text += "\n";
    text += wrapped(row.text, "# ");
    text += wrapped("Accepted: " + accepted_by(row, known_words()), "# ");
    text +=
        "# " + std::string(row.name) + " = " + toml_value(row.write(defaults), row.quoted) + "\n";
  }
  return text + toml_tail;
}

}  // namespace vhbm::cli
