#include "runtime/remote_address.h"

#include <fmt/core.h>

#include <charconv>

namespace vhbm {
namespace {

constexpr std::string_view over_network = "redis://", over_socket = "unix://";

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// All of `text` as a number.
template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

std::optional<RemoteAddress> parse_remote_address(std::string_view text) {
  RemoteAddress address;
  if (text.empty()) return address;
  if (take_prefix(text, over_socket)) {
    if (text.size() < 2 || text[0] != '/') return std::nullopt;
    address.socket = text;
    return address;
  }
  if (!take_prefix(text, over_network)) return std::nullopt;
  if (const auto at = text.find('@'); at != text.npos) {
    address.user = text.substr(0, at);
    text.remove_prefix(at + 1);
    // A password does not belong where others may read it.
    if (address.user.empty() || address.user.find(':') != address.user.npos) return std::nullopt;
  }
  if (const auto slash = text.find('/'); slash != text.npos) {
    if (slash + 1 != text.size() && !read_number(text.substr(slash + 1), address.database))
      return std::nullopt;
    text = text.substr(0, slash);
  }
  // The colons of an address of version 6 are inside brackets.
  const bool in_brackets = !text.empty() && text[0] == '[';
  const auto end = in_brackets ? text.find(']') : text.find(':');
  if (in_brackets && end == text.npos) return std::nullopt;
  address.host = in_brackets ? text.substr(1, end - 1) : text.substr(0, end);
  std::string_view rest = end == text.npos ? "" : text.substr(end + (in_brackets ? 1 : 0));
  if (!rest.empty() && (!take_prefix(rest, ":") || !read_number(rest, address.port)))
    return std::nullopt;
  if (address.host.empty() || address.port == 0) return std::nullopt;
  return address;
}

std::string write_remote_address(const RemoteAddress& address) {
  if (address.is_none()) return "";
  if (!address.socket.empty()) return std::string(over_socket) + address.socket;
  const bool needs_brackets = address.host.find(':') != std::string::npos;
  std::string text =
      fmt::format("{}{}{}{}:{}", over_network, address.user, address.user.empty() ? "" : "@",
                  needs_brackets ? "[" + address.host + "]" : address.host, address.port);
  if (address.database != 0) text += fmt::format("/{}", address.database);
  return text;
}

}  // namespace vhbm
