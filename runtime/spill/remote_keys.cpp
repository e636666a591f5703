#include "runtime/spill/remote_keys.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/log.h"

namespace vhbm {
namespace {

// Commands on their way before an answer is waited for.
constexpr std::size_t commands_in_flight = 256;

std::string random_prefix() {
  std::uint64_t random[2] = {};
  if (getrandom(random, sizeof random, 0) != sizeof random) {
    random[0] =
        static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    random[1] = static_cast<std::uint64_t>(getpid());
  }
  return fmt::format("vhbm:{:016x}{:016x}:", random[0], random[1]);
}

}  // namespace

RemoteKeys::RemoteKeys(RemoteSettings settings)
    : settings_(std::move(settings)),
      name_(name_of_store(settings_.address)),
      prefix_(random_prefix()) {}

std::string RemoteKeys::key_of(const Extent& place) const {
  return prefix_ + std::to_string(place.offset.value);
}

Extent RemoteKeys::next(Bytes size) {
  std::lock_guard lock(mutex_);
  return {{next_++}, size};
}

void RemoteKeys::keep(const Extent& place) {
  std::lock_guard lock(mutex_);
  kept_.insert(place.offset.value);
}

void RemoteKeys::drop(std::span<const Extent> places) {
  {
    std::lock_guard lock(mutex_);
    ++drops_;
    for (const Extent& place : places) kept_.erase(place.offset.value);
  }
  // UNLINK is DEL without the wait for the memory to be given back.
  if (const auto gone = ask_for_each("UNLINK", places); !gone.ok())
    log_info("{}: what is no longer needed stays until its time to live ends: {}", name_,
             gone.status().message());
}

Result<std::uint64_t> RemoteKeys::count(std::span<const Extent> places) const {
  return ask_for_each("EXISTS", places);
}

void RemoteKeys::renew() {
  std::vector<Extent> places;
  std::uint64_t drops = 0;
  {
    std::lock_guard lock(mutex_);
    for (const std::uint64_t number : kept_) places.push_back({{number}, {}});
    drops = drops_;
  }
  if (places.empty()) return;
  const auto renewed =
      ask_for_each("PEXPIRE", places, std::to_string(settings_.time_to_live.count()));
  if (!renewed.ok()) {
    log_warn("{}: what it keeps could not be renewed; it is lost should that go on for {} s: {}",
             name_, settings_.time_to_live.count() / 1000, renewed.status().message());
    return;
  }
  std::lock_guard lock(mutex_);
  // What was dropped meanwhile is not missed.
  if (drops != drops_) return;
  const bool lost_some = *renewed < places.size();
  if (lost_some && !lost_some_)
    log_error("{} no longer has {} of the {} pieces that it was given: it was restarted or emptied",
              name_, places.size() - *renewed, places.size());
  lost_some_ = lost_some;
}

Result<std::uint64_t> RemoteKeys::ask_for_each(std::string_view command,
                                               std::span<const Extent> places,
                                               std::string_view last) const {
  auto opened = RedisConnection::open(settings_);
  if (!opened.ok()) return opened.status();
  std::uint64_t sum = 0;
  while (!places.empty()) {
    const auto together = places.first(std::min(places.size(), commands_in_flight));
    places = places.subspan(together.size());
    for (const Extent& place : together) {
      const std::string key = key_of(place);
      const std::string_view words[] = {command, key, last};
      const auto said = std::span(words).first(last.empty() ? 2 : 3);
      if (Status status = (*opened)->send(said); !status.ok()) return status;
    }
    for (std::size_t i = 0; i < together.size(); ++i) {
      const auto reply = (*opened)->receive();
      if (!reply.ok()) return reply.status();
      sum += static_cast<std::uint64_t>((*reply)->integer);
    }
  }
  return sum;
}

}  // namespace vhbm
