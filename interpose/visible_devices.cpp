#include "interpose/visible_devices.h"

#include <charconv>

namespace vhbm::interpose {
namespace {

constexpr std::string_view gpu_prefix = "GPU-", part_prefix = "MIG-";

std::string_view trimmed(std::string_view word) {
  while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
  while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
  return word;
}

std::optional<unsigned> number_in(std::string_view word) {
  unsigned number = 0;
  const char* const end = word.data() + word.size();
  const auto [read, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc{} || read != end) return std::nullopt;
  return number;
}

bool names_by_uuid(std::string_view word) {
  return (word.starts_with(gpu_prefix) || word.starts_with(part_prefix)) &&
         word.size() > gpu_prefix.size();
}

}  // namespace

bool is_visible(const MachineDevice& device, const char* list, unsigned count,
                bool numbered_alike) noexcept {
  const bool is_part = device.uuid.starts_with(part_prefix);
  if (list == nullptr) return !is_part;
  for (std::string_view left = list;;) {
    const std::size_t comma = left.find(',');
    const std::string_view word = trimmed(left.substr(0, comma));
    if (names_by_uuid(word)) {
      if (device.uuid.starts_with(word)) return true;
    } else {
      const auto number = number_in(word);
      if (!number || *number >= count) return false;  // what is no GPU ends the list
      if (numbered_alike && !is_part && *number == device.index) return true;
    }
    if (comma == std::string_view::npos) return false;
    left.remove_prefix(comma + 1);
  }
}

std::optional<std::array<std::uint8_t, 16>> uuid_bytes(std::string_view text) noexcept {
  if (!names_by_uuid(text)) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  std::size_t digits = 0;
  for (char c : text.substr(gpu_prefix.size())) {
    if (c == '-') continue;
    std::uint8_t value = 0;
    const auto [read, error] = std::from_chars(&c, &c + 1, value, 16);
    if (error != std::errc{} || read != &c + 1 || digits == 2 * bytes.size()) return std::nullopt;
    bytes[digits / 2] = static_cast<std::uint8_t>(bytes[digits / 2] << 4 | value);
    ++digits;
  }
  if (digits != 2 * bytes.size()) return std::nullopt;
  return bytes;
}

}  // namespace vhbm::interpose
