#include "runtime/spill/remote.h"

#include <algorithm>
#include <deque>
#include <new>
#include <thread>

#include "runtime/log.h"

namespace vhbm {
namespace {

constexpr unsigned most_channels = 4, requests_in_flight = 4;
// A server that ended the connection may be one that starts anew.
constexpr unsigned most_reconnections = 3;
constexpr std::chrono::milliseconds first_pause{50};

// The value of `field` in what INFO answers.
std::string_view field_of(std::string_view info, std::string_view field) {
  const auto begin = info.find(field);
  if (begin == info.npos) return {};
  info.remove_prefix(begin + field.size());
  return info.substr(0, info.find('\r'));
}

class KeyChannel : public Channel {
 public:
  KeyChannel(RemoteKeys& keys, std::unique_ptr<RedisConnection> connection)
      : keys_(keys), connection_(std::move(connection)) {}

  [[nodiscard]] unsigned depth() const override { return requests_in_flight; }

  [[nodiscard]] Status begin(Transfer& transfer) override {
    begun_.push_back(&transfer);
    Status status = send(transfer);
    if (!status.ok() && connection_->was_closed()) status = reconnect();
    if (!status.ok()) begun_.pop_back();
    return status;
  }

  [[nodiscard]] Result<Finished> finish() override {
    auto reply = connection_->receive();
    while (!reply.ok() && connection_->was_closed()) {
      if (Status status = reconnect(); !status.ok()) return status;
      reply = connection_->receive();
    }
    Transfer* transfer = begun_.front();
    begun_.pop_front();
    if (!reply.ok()) return Finished{transfer, reply.status()};
    if (transfer->direction == Direction::read) return Finished{transfer, take(*transfer, **reply)};
    keys_.keep(transfer->place);
    return Finished{transfer, {}};
  }

 private:
  [[nodiscard]] Status send(const Transfer& transfer) {
    const std::string key = keys_.key_of(transfer.place);
    if (transfer.direction == Direction::read) {
      const std::string_view words[] = {"GET", key};
      return connection_->send(words);
    }
    const std::string life = std::to_string(keys_.settings().time_to_live.count());
    const std::string_view value(reinterpret_cast<const char*>(transfer.bytes.data()),
                                 transfer.bytes.size());
    const std::string_view words[] = {"SET", key, value, "PX", life};
    return connection_->send(words);
  }

  // Again with all that was begun: to write a key twice, or to read it, does no harm.
  [[nodiscard]] Status reconnect() {
    Status status(Errc::tier_unreachable, keys_.name() + " ended the connection too often");
    while (reconnections_ < most_reconnections) {
      std::this_thread::sleep_for(first_pause * (1 << reconnections_++));
      auto opened = RedisConnection::open(keys_.settings());
      status = opened.status();
      if (!opened.ok()) continue;
      connection_ = std::move(*opened);
      for (const Transfer* transfer : begun_) {
        status = send(*transfer);
        if (!status.ok()) break;
      }
      if (status.ok() || !connection_->was_closed()) return status;
    }
    return status;
  }

  [[nodiscard]] Status take(const Transfer& transfer, const redisReply& reply) {
    if (reply.type == REDIS_REPLY_NIL)
      return {Errc::bytes_lost,
              keys_.name() +
                  " no longer has what it was given: it was restarted or emptied, or this process "
                  "was stopped or cut off for longer than remote_ttl"};
    if (reply.type != REDIS_REPLY_STRING || reply.len != transfer.bytes.size())
      return {Errc::bytes_corrupted, keys_.name() + " gave something else than it was given"};
    std::copy_n(reinterpret_cast<const std::byte*>(reply.str), reply.len, transfer.bytes.data());
    return {};
  }

  RemoteKeys& keys_;
  std::unique_ptr<RedisConnection> connection_;
  std::deque<Transfer*> begun_;  // in the order in which they are answered
  unsigned reconnections_ = 0;
};

}  // namespace

Remote::Remote(RemoteSettings settings)
    : keys_(std::make_shared<RemoteKeys>(std::move(settings))) {}

unsigned Remote::channels() const {
  return std::clamp(std::thread::hardware_concurrency(), 1u, most_channels);
}

Result<std::unique_ptr<Channel>> Remote::open_channel() {
  auto opened = RedisConnection::open(keys_->settings());
  if (!opened.ok()) return opened.status();
  return std::unique_ptr<Channel>(std::make_unique<KeyChannel>(*keys_, std::move(*opened)));
}

Result<Extent> Remote::reserve(Bytes size) {
  std::lock_guard lock(mutex_);
  if (!renews_) {
    // Before the first key: what nobody renews would be gone one day.
    const auto round = [keys = keys_]() noexcept {
      try {
        keys->renew();
      } catch (const std::bad_alloc&) {
        log_warn("{}: no memory to renew what it keeps", keys->name());
      }
    };
    Status status = renewing_.start("vhbm-renew", keys_->settings().time_to_live / 4, round);
    if (!status.ok()) return status;
    renews_ = true;
  }
  return keys_->next(size);
}

void Remote::release(std::span<const Extent> places) noexcept {
  if (places.empty()) return;
  try {
    keys_->drop(places);
  } catch (const std::bad_alloc&) {
    log_info("{}: what is no longer needed stays until its time to live ends", name());
  }
}

Status Remote::settle(std::span<const Extent> places) {
  auto opened = RedisConnection::open(keys_->settings());
  if (!opened.ok()) return opened.status();
  const std::string_view question[] = {"INFO", "memory"};
  const auto reply = (*opened)->ask(question);
  if (!reply.ok()) return reply.status();
  const std::string_view info((*reply)->str == nullptr ? "" : (*reply)->str, (*reply)->len);
  const std::string_view policy = field_of(info, "\nmaxmemory_policy:");
  if (field_of(info, "\nmaxmemory:") != "0" && policy != "noeviction")
    return {Errc::unsupported,
            fmt::format("{} makes room by forgetting keys (maxmemory-policy is '{}'): it has to be "
                        "noeviction",
                        name(), policy)};
  const auto there = keys_->count(places);
  if (!there.ok()) return there.status();
  if (*there != places.size())
    return {
        Errc::tier_unreachable,
        fmt::format("{} lost keys while it was given more: it was restarted or emptied", name())};
  return {};
}

}  // namespace vhbm
