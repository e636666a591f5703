// toml++ stays behind this file, as headers only and hidden: whoever preloads the library shall not
// meet theirs as well. Its exceptions end here.
#include "runtime/toml_document.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

namespace vhbm {
namespace {

std::size_t line_of(const toml::source_region& region) {
  return region.begin.line;
}

std::string date_or_time(const toml::node& node) {
  std::ostringstream text;
  if (const auto* date = node.as_date()) text << date->get();
  if (const auto* time = node.as_time()) text << time->get();
  if (const auto* both = node.as_date_time()) text << both->get();
  return text.str();
}

TomlEntry entry_of(const toml::key& key, const toml::node& node) {
  TomlEntry entry{std::string(key.str()), std::nullopt, "", line_of(key.source())};
  if (const auto* text = node.as_string()) {
    entry.value = text->get();
    entry.written = shown(text->get());
  } else if (const auto* whole = node.as_integer()) {
    entry.written = *(entry.value = std::to_string(whole->get()));
  } else if (const auto* yes = node.as_boolean()) {
    entry.written = *(entry.value = yes->get() ? "true" : "false");
  } else if (const auto* number = node.as_floating_point()) {
    entry.written = fmt::format("{}", number->get());
  } else if (node.is_array()) {
    entry.written = "[...]";
  } else if (node.is_table()) {
    entry.written = "{...}";
  } else {
    entry.written = date_or_time(node);
  }
  return entry;
}

template <typename Lined>
void sort_by_line(std::vector<Lined>& all) {
  std::stable_sort(all.begin(), all.end(),
                   [](const Lined& a, const Lined& b) { return a.line < b.line; });
}

TomlTable table_of(std::string_view name, const toml::table& table) {
  TomlTable result{std::string(name), {}, line_of(table.source())};
  for (const auto& [key, node] : table) result.entries.push_back(entry_of(key, node));
  sort_by_line(result.entries);
  return result;
}

// toml++ keeps a table's keys in alphabetical order.
TomlDocument document_of(const toml::table& root) {
  TomlDocument document;
  for (const auto& [key, node] : root) {
    const toml::array* list = node.as_array();
    if (list == nullptr || list->empty() || !list->is_homogeneous<toml::table>()) {
      document.entries.push_back(entry_of(key, node));
      continue;
    }
    for (const toml::node& one : *list) {
      document.tables.push_back(table_of(key.str(), *one.as_table()));
    }
  }
  sort_by_line(document.entries);
  sort_by_line(document.tables);
  return document;
}

// On one line, whatever of the text it quotes.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return line;
}

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t longest = 60;
  std::string result = "\"";
  for (const char c : text) {
    if (result.size() > longest) {
      // No letter is cut in two: in UTF-8 those that follow in a letter begin with the bits 10.
      if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) {
        result += c;
        continue;
      }
      return result + "...\"";
    }
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

TomlParse parse_toml(std::string_view text) {
  TomlParse parse;
  try {
    parse.document = document_of(toml::parse(text));
  } catch (const toml::parse_error& error) {
    parse.error = TomlError{line_of(error.source()), one_line(error.description())};
  } catch (const std::exception& error) {
    parse.error = TomlError{0, one_line(error.what())};
  }
  return parse;
}

}  // namespace vhbm
