// Where a remote store listens, as an option says it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vhbm {

struct RemoteAddress {
  std::string host;  // a name or an address; empty where `socket` says it
  std::uint16_t port = 6379;
  std::string socket;  // the path of a Unix socket
  std::string user;    // empty: the store's default user
  unsigned database = 0;
  bool operator==(const RemoteAddress&) const = default;

  [[nodiscard]] bool is_none() const { return host.empty() && socket.empty(); }
};

// "redis://cache:6379", "redis://user@[::1]/2", "unix:///run/valkey.sock"; empty text is none.
// nullopt for anything else.
[[nodiscard]] std::optional<RemoteAddress> parse_remote_address(std::string_view text);
// What parse_remote_address() reads as the same.
[[nodiscard]] std::string write_remote_address(const RemoteAddress& address);

}  // namespace vhbm
