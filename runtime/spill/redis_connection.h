// One connection to a Valkey or Redis server: hiredis connects and reads what the server says; what
// is sent goes from the caller's memory, without a signal when the other end is gone, and every
// wait has an end. Locking: none; one thread at a time.
#pragma once

#include <hiredis/hiredis.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/remote_address.h"
#include "runtime/status.h"

namespace vhbm {

struct RemoteSettings {
  RemoteAddress address;
  std::string password_file;  // read at each connection; counts more than `password`
  std::string password;
  std::chrono::milliseconds timeout{
      5000};  // of each operation: to connect, to send one, to hear of it
  std::chrono::milliseconds time_to_live{600'000};
};

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

class RedisConnection {
 public:
  // Connected, with the user and the database that the settings say.
  //   Errc::tier_unreachable  the message says why
  [[nodiscard]] static Result<std::unique_ptr<RedisConnection>> open(
      const RemoteSettings& settings);

  // Sends one command. Its words need not stay.
  [[nodiscard]] Status send(std::span<const std::string_view> words);
  // The next answer; one that is an error comes as a Status.
  //   Errc::tier_full  the server has no memory left for that
  //   Errc::tier_unreachable  it took too long, is gone, or refuses
  [[nodiscard]] Result<Reply> receive();
  [[nodiscard]] Result<Reply> ask(std::span<const std::string_view> words);

  // The server ended the connection: another may be had.
  [[nodiscard]] bool was_closed() const { return was_closed_; }

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  struct FreeContext {
    void operator()(redisContext* context) const { redisFree(context); }
  };

  RedisConnection(const RemoteSettings& settings, redisContext* context);
  [[nodiscard]] Status introduce(const RemoteSettings& settings);
  [[nodiscard]] Status send_parts(std::span<const std::string_view> parts);
  [[nodiscard]] Status wait_until(short event, Deadline deadline);
  [[nodiscard]] Status closed();
  [[nodiscard]] Deadline deadline() const { return std::chrono::steady_clock::now() + timeout_; }

  const std::string name_;
  const std::chrono::milliseconds timeout_;
  const std::unique_ptr<redisContext, FreeContext> context_;
  std::vector<char> received_;
  bool was_closed_ = false;
};

// "store redis://cache:6379"
[[nodiscard]] std::string name_of_store(const RemoteAddress& address);

}  // namespace vhbm
