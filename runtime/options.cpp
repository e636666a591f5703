// Parsing of options: one overload of parse() a type, and the table expanded over them.
#include "runtime/options.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

namespace vhbm {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// The leading number of `text`, which is left with what follows it; negative when there is none.
double take_number(std::string_view& text) {
  double number = -1;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || number < 0) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  text = trimmed(text);
  return number;
}

// Each returns what is accepted when `text` is not, else nullptr.
const char* parse(std::string_view text, bool& value) {
  const std::string word = lower(text);
  value = word == "1" || word == "true" || word == "on" || word == "yes";
  const bool no = word == "0" || word == "false" || word == "off" || word == "no" || word.empty();
  return value || no ? nullptr : "1 or 0, true or false, on or off, yes or no";
}

const char* parse(std::string_view text, Size& value) {
  const auto size = parse_size(text);
  if (size) value = *size;
  return size ? nullptr
              : "a size such as 8GiB, 512MiB or 4096 (bytes), a share such as 75%, or auto";
}

const char* parse(std::string_view text, Report& value) {
  const std::string word = lower(text);
  value = word == "virtual" ? Report::virtual_memory : Report::physical;
  return word == "virtual" || word == "physical" ? nullptr : "physical or virtual";
}

const char* parse(std::string_view text, Milliseconds& value) {
  const double number = take_number(text);
  double scale = 0;
  if (text.empty() || text == "ms") scale = 1;
  if (text == "s") scale = 1000;
  if (number < 0 || scale == 0 || number * scale < 1 || number * scale > 3'600'000) {
    return "a time of 1ms to 1h, such as 5ms or 2s (a plain number is milliseconds)";
  }
  value = Milliseconds(static_cast<std::int64_t>(number * scale));
  return nullptr;
}

const char* parse(std::string_view text, Percent& value) {
  const double number = take_number(text);
  if (number < 1 || number > 100 || (!text.empty() && text != "%")) return "1% to 100%";
  value = {static_cast<std::uint64_t>(number)};
  return nullptr;
}

const char* parse(std::string_view text, Text& value) {
  value = text;
  return nullptr;
}

std::string variable_of(const char* option) {
  std::string name = "VHBM_";
  for (; *option != '\0'; ++option) {
    name += static_cast<char>(std::toupper(static_cast<unsigned char>(*option)));
  }
  return name;
}

Status refuse(const std::string& variable, const char* value, const char* accepted) {
  return {Errc::invalid_value, variable + "=" + value + " is not accepted: expected " + accepted};
}

// What a single option's type cannot say.
const char* out_of_range(const Options& options) {
  const Bytes chunk = options.chunk_size.resolve({}, mib(2));
  const std::uint64_t pages = chunk.value / mib(2).value;
  if (chunk.value % mib(2).value != 0 || pages == 0 || (pages & (pages - 1)) != 0 || pages > 512) {
    return "2MiB times a power of two, at most 1GiB";
  }
  return nullptr;
}

}  // namespace

std::optional<Size> parse_size(std::string_view text) {
  text = trimmed(text);
  if (lower(text) == "auto") return Size::automatic();
  const double number = take_number(text);
  if (number < 0) return std::nullopt;
  if (text == "%") {
    if (number > 100) return std::nullopt;
    return Size::percent(static_cast<std::uint64_t>(number));
  }
  static constexpr struct {
    const char* suffix;
    int shift;
  } units[] = {{"", 0},     {"b", 0},  {"k", 10},   {"kib", 10}, {"m", 20},
               {"mib", 20}, {"g", 30}, {"gib", 30}, {"t", 40},   {"tib", 40}};
  const std::string suffix = lower(text);
  for (const auto& unit : units) {
    if (suffix != unit.suffix) continue;
    const double bytes = number * static_cast<double>(1ull << unit.shift);
    if (bytes >= 9.0e18) return std::nullopt;
    return Size::of({static_cast<std::uint64_t>(bytes)});
  }
  return std::nullopt;
}

Result<Options> Options::from_environment(const Lookup& lookup) {
  Options options;
#define OPTION(type, name, initial, text)                                                  \
  if (const char* value = lookup(variable_of(#name).c_str()); value != nullptr) {          \
    if (const char* accepted = parse(trimmed(value), options.name); accepted != nullptr) { \
      return refuse(variable_of(#name), value, accepted);                                  \
    }                                                                                      \
  }
#include "runtime/options.def"
#undef OPTION
  if (const char* accepted = out_of_range(options); accepted != nullptr) {
    return refuse("VHBM_CHUNK_SIZE", lookup("VHBM_CHUNK_SIZE"), accepted);
  }
  return options;
}

Result<Options> Options::from_environment() {
  return from_environment(
      [](const char* variable) -> const char* { return std::getenv(variable); });
}

}  // namespace vhbm
