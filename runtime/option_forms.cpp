// Numbers are read the same everywhere: no sign, no exponent, and the unit behind them.
#include "runtime/option_forms.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "runtime/words.h"

namespace vhbm {
namespace {

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
  if (error != std::errc{} || !(number >= 0)) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  text = trimmed(text);
  return number;
}

struct Unit {
  const char* suffix;
  int shift;
};
// The first of a shift is how it is written.
constexpr Unit units[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0},
                          {"T", 40},   {"G", 30},   {"M", 20},   {"K", 10},   {"", 0}};

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
  const std::string suffix = lower(text);
  for (const Unit& unit : units) {
    if (suffix != lower(unit.suffix)) continue;
    const double bytes = number * static_cast<double>(1ull << unit.shift);
    if (bytes >= 9.0e18) return std::nullopt;
    return Size::of({static_cast<std::uint64_t>(bytes)});
  }
  return std::nullopt;
}

std::string write_bytes(Bytes bytes) {
  for (const Unit& unit : units) {
    const std::uint64_t count = bytes.value >> unit.shift;
    if (count != 0 && count << unit.shift == bytes.value)
      return std::to_string(count) + unit.suffix;
  }
  return "0";
}

bool Form<bool>::read(std::string_view text, bool& value) {
  const std::string word = lower(text);
  value = word == "1" || word == "true" || word == "on" || word == "yes";
  return value || word == "0" || word == "false" || word == "off" || word == "no" || word.empty();
}
std::string Form<bool>::write(const bool& value) {
  return value ? "true" : "false";
}

bool Form<Size>::read(std::string_view text, Size& value) {
  const auto size = parse_size(text);
  if (size) value = *size;
  return size.has_value();
}
std::string Form<Size>::write(const Size& value) {
  if (value.is_automatic()) return "auto";
  if (value.is_share()) return std::to_string(value.resolve({100}, {}).value) + "%";
  return write_bytes(value.resolve({}, {}));
}

bool Form<ChunkSize>::read(std::string_view text, ChunkSize& value) {
  if (!Form<Size>::read(text, value)) return false;
  const std::uint64_t bytes = value.resolve({}, mib(2)).value;
  const std::uint64_t pages = bytes / mib(2).value;
  return bytes % mib(2).value == 0 && pages != 0 && (pages & (pages - 1)) == 0 && pages <= 512;
}
std::string Form<ChunkSize>::write(const ChunkSize& value) {
  return Form<Size>::write(value);
}

bool Form<Report>::read(std::string_view text, Report& value) {
  const std::string word = lower(text);
  value = word == "virtual" ? Report::virtual_memory : Report::physical;
  return word == "virtual" || word == "physical";
}
std::string Form<Report>::write(const Report& value) {
  return value == Report::virtual_memory ? "virtual" : "physical";
}

bool Form<Milliseconds>::read(std::string_view text, Milliseconds& value) {
  const double number = take_number(text);
  double scale = 0;
  if (text.empty() || text == "ms") scale = 1;
  if (text == "s") scale = 1000;
  if (number < 0 || scale == 0 || number * scale < 1 || number * scale > 3'600'000) return false;
  value = Milliseconds(static_cast<std::int64_t>(number * scale));
  return true;
}
std::string Form<Milliseconds>::write(const Milliseconds& value) {
  return std::to_string(value.count()) + "ms";
}

bool Form<Pause>::read(std::string_view text, Pause& value) {
  const double number = take_number(text);
  double scale = 0;
  if (text == "ms") scale = 1;
  if (text.empty() || text == "s") scale = 1000;
  if (text == "m") scale = 60'000;
  if (text == "h") scale = 3'600'000;
  const double milliseconds = number * scale;
  if (number < 0 || scale == 0 || milliseconds > 86'400'000) return false;
  if (milliseconds != 0 && milliseconds < 10) return false;
  value = {Milliseconds(static_cast<std::int64_t>(milliseconds))};
  return true;
}
std::string Form<Pause>::write(const Pause& value) {
  return value.length.count() == 0 ? "0" : std::to_string(value.length.count()) + "ms";
}

bool Form<Percent>::read(std::string_view text, Percent& value) {
  const double number = take_number(text);
  if (number < 1 || number > 100 || (!text.empty() && text != "%")) return false;
  value = {static_cast<std::uint64_t>(number)};
  return true;
}
std::string Form<Percent>::write(const Percent& value) {
  return std::to_string(value.value) + "%";
}

bool Form<Rate>::read(std::string_view text, Rate& value) {
  if (text.ends_with("/s")) text.remove_suffix(2);
  const auto size = parse_size(text);
  if (!size || size->is_share()) return false;
  value = {size->resolve({}, {}).value};
  return size->is_automatic() || value.value != 0;
}
std::string Form<Rate>::write(const Rate& value) {
  return value.value == 0 ? "auto" : write_bytes({value.value}) + "/s";
}

bool Form<Priority>::read(std::string_view text, Priority& value) {
  const double number = take_number(text);
  value = {static_cast<std::uint32_t>(number)};
  return text.empty() && number >= 1 && number <= 100;
}
std::string Form<Priority>::write(const Priority& value) {
  return std::to_string(value.value);
}

bool Form<GpuClass>::read(std::string_view text, GpuClass& value) {
  const std::string word = lower(text);
  value = word == "batch" ? GpuClass::batch : GpuClass::latency;
  return word == "batch" || word == "latency";
}
std::string Form<GpuClass>::write(const GpuClass& value) {
  return value == GpuClass::batch ? "batch" : "latency";
}

bool Form<Text>::read(std::string_view text, Text& value) {
  value = text;
  return true;
}
std::string Form<Text>::write(const Text& value) {
  return value;
}

bool Form<LogLevel>::read(std::string_view text, LogLevel& value) {
  for (std::size_t i = 0; i < log_level_names.size(); ++i) {
    if (text != log_level_names[i]) continue;
    value = static_cast<LogLevel>(i);
    return true;
  }
  return false;
}
std::string Form<LogLevel>::write(const LogLevel& value) {
  return log_level_names[static_cast<std::size_t>(value)];
}

bool Form<CompressionChoice>::read(std::string_view text, CompressionChoice& value) {
  const std::string word = lower(text);
  constexpr std::string_view with_level = "zstd:";
  value = {word == "lz4" ? Codec::lz4 : Codec::none, 0};
  if (word == "none" || word == "lz4") return true;
  value = {Codec::zstd, 1};
  if (word == "zstd") return true;
  if (word.compare(0, with_level.size(), with_level) != 0) return false;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + with_level.size(), end, value.level);
  return error == std::errc{} && stop == end && value.level >= 1 && value.level <= 19;
}
std::string Form<CompressionChoice>::write(const CompressionChoice& value) {
  if (value.codec == Codec::none) return "none";
  return value.codec == Codec::lz4 ? "lz4" : "zstd:" + std::to_string(value.level);
}

bool Form<RemoteAddress>::read(std::string_view text, RemoteAddress& value) {
  const auto address = parse_remote_address(text);
  if (address) value = *address;
  return address.has_value();
}
std::string Form<RemoteAddress>::write(const RemoteAddress& value) {
  return write_remote_address(value);
}

}  // namespace vhbm
