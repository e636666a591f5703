// A TOML text as vHBM's configuration uses the format: entries at the top level, and lists of
// tables of entries. What stands where, not yet what it means. The only header behind which a TOML
// parser is known.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vhbm {

// key = value
struct TomlEntry {
  std::string key;
  std::optional<std::string>
      value;            // what a text, a whole number or a switch says; others have none
  std::string written;  // as it may be shown: one line, shortened where it is long
  std::size_t line = 0;
};

// One table of a list: [[name]] and the entries below it.
struct TomlTable {
  std::string name;
  std::vector<TomlEntry> entries;
  std::size_t line = 0;
};

// Entries and tables are in the order of the text.
struct TomlDocument {
  std::vector<TomlEntry> entries;
  std::vector<TomlTable> tables;
};

struct TomlError {
  std::size_t line = 0;
  std::string text;  // a whole sentence
};

// The document, or what is wrong with the first line that is no TOML, or is more of it than a
// configuration has.
struct TomlParse {
  TomlDocument document;
  std::optional<TomlError> error;
};
[[nodiscard]] TomlParse parse_toml(std::string_view text);

// As a message shows it: quoted, one line, shortened where it is long.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace vhbm
