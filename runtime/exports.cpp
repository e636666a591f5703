#include "runtime/exports.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <thread>
#include <utility>

#include "runtime/log.h"

namespace vhbm {
namespace {

// How long one that has connected may take to say what it wants: others are waiting.
constexpr std::chrono::milliseconds client_patience{500};

template <typename T>
bool randomize(T* out) {
  return getrandom(out, sizeof *out, 0) == static_cast<ssize_t>(sizeof *out);
}

}  // namespace

std::string share_name(std::uint64_t process) {
  constexpr char digits[] = "0123456789abcdef";
  std::string name;
  for (int shift = 60; shift >= 0; shift -= 4) name += digits[process >> shift & 15];
  return name + share_suffix;
}

Exports::Exports(std::string directory, Grant grant, Lives lives)
    : directory_(std::move(directory)),
      grant_(std::move(grant)),
      lives_(std::move(lives)),
      owner_(getpid()) {}

Result<SharedHandle> Exports::share(const RegionView& region) {
  std::lock_guard lock(mutex_);
  if (Status status = start(); !status.ok()) return status;
  const auto found = shared_.find(region.id.value);
  if (found != shared_.end()) return found->second.handle;
  if (shared_.size() >= look_again_at_) forget_the_dead();
  SharedHandle handle = process_;
  handle.size = region.size.value;
  if (!randomize(&handle.token)) return Status(Errc::system_error, "no random numbers");
  shared_[region.id.value] = {handle, region.base};
  return handle;
}

bool Exports::made(const SharedHandle& handle) const noexcept {
  std::lock_guard lock(mutex_);
  return listening_.is_open() && handle.process == process_.process;
}

Status Exports::start() {
  if (stopped_) return {Errc::system_error, "this process is about to end"};
  if (listening_.is_open()) return {};
  process_.pid = static_cast<std::uint32_t>(owner_);
  process_.started_at = std::time(nullptr);
  if (!randomize(&process_.process)) return {Errc::system_error, "no random numbers"};
  auto made = ShareSocket::listen(directory_, share_name(process_.process));
  if (!made.ok()) return made.status();
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return {Errc::system_error, "no event to wait for"};
  listening_ = std::move(*made);
  Status status = worker_.start("vhbm-share", std::chrono::nanoseconds(0), [this] { round(); });
  if (!status.ok()) close_and_unlink();
  return status;
}

void Exports::forget_the_dead() {
  std::erase_if(shared_,
                [&](const auto& entry) { return !lives_({entry.first}, entry.second.base); });
  look_again_at_ = std::max<std::size_t>(64, 2 * shared_.size());
}

void Exports::round() noexcept {
  std::array<pollfd, 2> waiting{{{listening_.descriptor(), POLLIN, 0}, {wake_, POLLIN, 0}}};
  if (poll(waiting.data(), waiting.size(), -1) <= 0 || (waiting[1].revents & POLLIN) != 0) return;
  if ((waiting[0].revents & POLLIN) == 0) {
    // A program that closes all files it does not know, as daemons do, has closed these.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return;
  }
  try {
    if (const ShareSocket client = listening_.accept(client_patience); client.is_open()) {
      serve(client);
    }
  } catch (...) {
    // Whoever asked sees the connection close, which is a refusal.
  }
}

void Exports::serve(const ShareSocket& client) {
  ShareRequest request;
  if (!client.receive(&request, sizeof request)) return;
  RegionId id;
  DeviceAddress base;
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(shared_.begin(), shared_.end(), [&](const auto& entry) {
      return entry.second.handle == request.handle;
    });
    if (found != shared_.end()) {
      id = {found->first};
      base = found->second.base;
    }
  }
  ShareAnswer answer;
  int file = -1;
  if (base.value != 0) {
    if (const auto granted = grant_(id, base); granted.ok()) {
      answer = {1, granted->size.value, granted->mapped.value};
      file = granted->file;
    }
  }
  (void)client.send(&answer, sizeof answer, file);
  if (file >= 0) close(file);
}

void Exports::stop() noexcept {
  if (owner_ != getpid()) {
    // The thread, and whoever held the lock, are the parent's.
    worker_.stop();
    listening_.close();
    return;
  }
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true) || !listening_.is_open()) return;
    // Never waits, and a full counter has woken it already.
    (void)eventfd_write(wake_, 1);
  }
  worker_.stop();
  close_and_unlink();
}

void Exports::close_and_unlink() noexcept {
  unlink((directory_ + "/" + share_name(process_.process)).c_str());
  // What a stuck thread waits for stays open.
  if (!worker_.ended()) return;
  listening_.close();
  close(wake_);
}

}  // namespace vhbm
