// The table of options.def as values, for those who list options or set them by name: the loader,
// the configuration file, the command's help.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/options.h"

namespace vhbm {

struct OptionRow {
  const char* name;
  const char* type;
  const char* accepted;  // of the type; see accepted_by()
  const char* text;
  bool live;    // may change while the process runs
  bool quoted;  // a TOML file has its value as a string
  bool (*read)(std::string_view text, Options& options);
  std::string (*write)(const Options& options);
};

// In the order of OptionId.
[[nodiscard]] std::span<const OptionRow, option_count> option_rows();
// option_count when there is none of that name.
[[nodiscard]] std::size_t find_option(std::string_view name);
[[nodiscard]] std::vector<std::string> option_names();
// VHBM_<NAME>
[[nodiscard]] std::string variable_of(const OptionRow& row);

// What an option accepts, as a message says it: the words known of it, else what its type does.
[[nodiscard]] std::string accepted_by(const OptionRow& row, const KnownWords& words);
// Gives the option the value that `text` says. Otherwise what would have been accepted.
[[nodiscard]] std::optional<std::string> set_option(const OptionRow& row, std::string_view text,
                                                    const KnownWords& words, Options& options);

}  // namespace vhbm
