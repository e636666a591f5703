// toml++ stays behind this file, as headers only and hidden: whoever preloads the library shall not
// meet theirs as well. Its exceptions end here.
#include "runtime/toml_document.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 8
// What toml++ asserts, malformed text does break; its code behind that then says what is wrong.
#define TOML_ASSERT(condition) static_assert(true)
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "runtime/toml_screen.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

// The same text as far as it is well-formed or not: where a letter may stand, a ? may.
std::string in_ascii(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (!is_ascii(c)) c = '?';
  }
  return result;
}

toml::table parse(std::string_view text) {
  if (!std::all_of(text.begin(), text.end(), is_ascii)) (void)toml::parse(in_ascii(text));
  return toml::parse(text);
}

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

bool is_toml(const std::string& text) {
  try {
    (void)parse(text);
    return true;
  } catch (const toml::parse_error&) {
    return false;
  }
}

std::string_view line_at(std::string_view text, std::size_t line) {
  for (; line > 1 && text.find('\n') != text.npos; --line) text.remove_prefix(text.find('\n') + 1);
  return text.substr(0, text.find('\n'));
}

// What most go wrong in is text without quotes: hbm_limit = 8GiB. Such a line as it was meant.
std::optional<std::string> missing_quotes(std::string_view line) {
  constexpr std::size_t longest = 100;
  line = trimmed(line.substr(0, line.find('#')));
  const std::size_t equals = line.find('=');
  if (equals == line.npos || line.size() > longest) return std::nullopt;
  const std::string key(trimmed(line.substr(0, equals)));
  const std::string value(trimmed(line.substr(equals + 1)));
  const std::string meant = key + " = \"" + value + "\"";
  if (value.empty() || value.find_first_of("\"'[]{}") != value.npos) return std::nullopt;
  if (is_toml("key = " + value) || !is_toml(meant)) return std::nullopt;
  return one_line(line) + " cannot be understood: did you mean " + meant + "?";
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
  TomlParse result;
  constexpr std::string_view mark = "\xef\xbb\xbf";  // some editors begin UTF-8 with it
  if (text.starts_with(mark)) text.remove_prefix(mark.size());
  result.error = screen_toml(text);
  if (result.error) return result;
  try {
    result.document = document_of(parse(text));
  } catch (const toml::parse_error& error) {
    const std::size_t line = line_of(error.source());
    const auto meant = missing_quotes(line_at(text, line));
    result.error =
        TomlError{line, meant ? *meant : "cannot be understood: " + one_line(error.description())};
  } catch (const std::exception& error) {
    result.error = TomlError{0, "cannot be understood: " + one_line(error.what())};
  }
  return result;
}

}  // namespace vhbm
