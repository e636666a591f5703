#include "runtime/spill/redis_connection.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace vhbm {
namespace {

// What is read at once; words longer than this are sent from where they are.
constexpr std::size_t buffer_size = 256 << 10, short_word = 4096;

timeval to_timeval(std::chrono::milliseconds time) {
  return {time.count() / 1000, time.count() % 1000 * 1000};
}

// What an error that the server answered means.
Status refusal(const std::string& name, std::string_view message) {
  const bool is_full = message.substr(0, 3) == "OOM";
  return {is_full ? Errc::tier_full : Errc::tier_unreachable,
          name + (is_full ? " is full: " : " refuses: ") + std::string(message)};
}

Result<std::string> password_of(const RemoteSettings& settings) {
  if (settings.password_file.empty()) return settings.password;
  std::ifstream file(settings.password_file);
  std::string password;
  if (!file || !std::getline(file, password))
    return Status(Errc::tier_unreachable,
                  "remote_password_file " + settings.password_file + " cannot be read");
  return password;
}

}  // namespace

std::string name_of_store(const RemoteAddress& address) {
  return "store " + write_remote_address(address);
}

RedisConnection::RedisConnection(const RemoteSettings& settings, redisContext* context)
    : name_(name_of_store(settings.address)),
      timeout_(settings.timeout),
      context_(context),
      received_(buffer_size) {}

Result<std::unique_ptr<RedisConnection>> RedisConnection::open(const RemoteSettings& settings) {
  const RemoteAddress& address = settings.address;
  const timeval timeout = to_timeval(settings.timeout);
  redisContext* context = address.socket.empty()
                              ? redisConnectWithTimeout(address.host.c_str(), address.port, timeout)
                              : redisConnectUnixWithTimeout(address.socket.c_str(), timeout);
  if (context == nullptr) return Status(Errc::out_of_memory, "no memory for a connection");
  std::unique_ptr<RedisConnection> connection(new RedisConnection(settings, context));
  if (context->err != 0)
    return Status(Errc::tier_unreachable,
                  connection->name_ + " cannot be reached: " + context->errstr);
  fcntl(context->fd, F_SETFD, FD_CLOEXEC);
  fcntl(context->fd, F_SETFL, fcntl(context->fd, F_GETFL) | O_NONBLOCK);
  if (Status status = connection->introduce(settings); !status.ok()) return status;
  return connection;
}

Status RedisConnection::introduce(const RemoteSettings& settings) {
  const auto password = password_of(settings);
  if (!password.ok()) return password.status();
  if (!password->empty()) {
    std::vector<std::string_view> words = {"AUTH"};
    if (!settings.address.user.empty()) words.push_back(settings.address.user);
    words.push_back(*password);
    if (const auto reply = ask(words); !reply.ok()) return reply.status();
  }
  if (settings.address.database != 0) {
    const std::string database = std::to_string(settings.address.database);
    const std::string_view words[] = {"SELECT", database};
    if (const auto reply = ask(words); !reply.ok()) return reply.status();
  }
  return {};
}

Status RedisConnection::send(std::span<const std::string_view> words) {
  // Lengths and short words are gathered; long words are sent from where they are.
  std::string gathered = fmt::format("*{}\r\n", words.size());
  std::vector<std::pair<std::size_t, std::string_view>>
      long_words;  // where in `gathered` each goes
  for (const std::string_view word : words) {
    gathered += fmt::format("${}\r\n", word.size());
    if (word.size() > short_word)
      long_words.emplace_back(gathered.size(), word);
    else
      gathered += word;
    gathered += "\r\n";
  }
  std::vector<std::string_view> parts;
  std::size_t sent = 0;
  for (const auto& [where, word] : long_words) {
    parts.push_back(std::string_view(gathered).substr(sent, where - sent));
    parts.push_back(word);
    sent = where;
  }
  parts.push_back(std::string_view(gathered).substr(sent));
  return send_parts(parts);
}

Status RedisConnection::send_parts(std::span<const std::string_view> parts) {
  const Deadline until = deadline();
  std::vector<iovec> pending;
  for (const std::string_view part : parts)
    pending.push_back({const_cast<char*>(part.data()), part.size()});
  for (std::size_t first = 0; first < pending.size();) {
    msghdr message{};
    message.msg_iov = &pending[first];
    message.msg_iovlen = std::min<std::size_t>(pending.size() - first, 64);
    // The signal of a broken pipe would end the host process.
    const ssize_t sent = sendmsg(context_->fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (Status status = wait_until(POLLOUT, until); !status.ok()) return status;
      continue;
    }
    if (sent < 0) return closed();
    auto left = static_cast<std::size_t>(sent);
    while (first < pending.size() && left >= pending[first].iov_len)
      left -= pending[first++].iov_len;
    if (first == pending.size()) break;
    pending[first].iov_base = static_cast<char*>(pending[first].iov_base) + left;
    pending[first].iov_len -= left;
    // However steadily it takes little, it has so long and no longer.
    if (std::chrono::steady_clock::now() > until) return wait_until(POLLOUT, until);
  }
  return {};
}

Result<Reply> RedisConnection::receive() {
  const Deadline until = deadline();
  for (;;) {
    void* answer = nullptr;
    if (redisReaderGetReply(context_->reader, &answer) != REDIS_OK)
      return Status(Errc::tier_unreachable,
                    name_ + " says what is no answer: " + context_->reader->errstr);
    if (answer != nullptr) {
      Reply reply(static_cast<redisReply*>(answer));
      if (reply->type == REDIS_REPLY_ERROR) return refusal(name_, {reply->str, reply->len});
      return reply;
    }
    const ssize_t size = recv(context_->fd, received_.data(), received_.size(), 0);
    if (size > 0) {
      if (redisReaderFeed(context_->reader, received_.data(), static_cast<std::size_t>(size)) !=
          REDIS_OK)
        return Status(Errc::out_of_memory, "no memory for what " + name_ + " answers");
      if (std::chrono::steady_clock::now() <= until) continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) return closed();
    if (Status status = wait_until(POLLIN, until); !status.ok()) return status;
  }
}

Result<Reply> RedisConnection::ask(std::span<const std::string_view> words) {
  if (Status status = send(words); !status.ok()) return status;
  return receive();
}

Status RedisConnection::wait_until(short event, Deadline deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd descriptor{context_->fd, event, 0};
    const int ready = left.count() <= 0 ? 0 : poll(&descriptor, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    return {Errc::tier_unreachable,
            fmt::format("{} did not answer within {} ms", name_, timeout_.count())};
  }
}

Status RedisConnection::closed() {
  was_closed_ = true;
  return {Errc::tier_unreachable, name_ + " ended the connection"};
}

}  // namespace vhbm
