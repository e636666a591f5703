#include "runtime/option_table.h"

#include <algorithm>
#include <cctype>

#include "runtime/option_forms.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

const std::vector<std::string>* words_of(const OptionRow& row, const KnownWords& words) {
  for (const auto& [option, known] : words) {
    if (option == row.name) return &known;
  }
  return nullptr;
}

}  // namespace

std::span<const OptionRow, option_count> option_rows() {
  static constexpr OptionRow rows[option_count] = {
#define ROW(type, name, text, live)                                                                \
  {#name,                                                                                          \
   Form<type>::type_name,                                                                          \
   Form<type>::accepted,                                                                           \
   text,                                                                                           \
   live,                                                                                           \
   Form<type>::quoted,                                                                             \
   [](std::string_view given, Options& options) { return Form<type>::read(given, options.name); }, \
   [](const Options& options) { return Form<type>::write(options.name); }},
#define OPTION(type, name, initial, text) ROW(type, name, text, false)
#define LIVE_OPTION(type, name, initial, text) ROW(type, name, text, true)
#include "runtime/options.def"
#undef OPTION
#undef ROW
  };
  return rows;
}

std::size_t find_option(std::string_view name) {
  const auto rows = option_rows();
  return static_cast<std::size_t>(
      std::find_if(rows.begin(), rows.end(),
                   [&](const OptionRow& row) { return row.name == name; }) -
      rows.begin());
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const OptionRow& row : option_rows()) names.emplace_back(row.name);
  return names;
}

std::string variable_of(const OptionRow& row) {
  std::string name = "VHBM_";
  for (const char c : std::string_view(row.name)) {
    name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string accepted_by(const OptionRow& row, const KnownWords& words) {
  const auto* known = words_of(row, words);
  return known == nullptr ? row.accepted : joined_with_or(*known);
}

std::optional<std::string> set_option(const OptionRow& row, std::string_view text,
                                      const KnownWords& words, Options& options) {
  text = trimmed(text);
  const auto* known = words_of(row, words);
  const bool is_known =
      known == nullptr || std::find(known->begin(), known->end(), text) != known->end();
  if (is_known && row.read(text, options)) return std::nullopt;
  return accepted_by(row, words);
}

}  // namespace vhbm
