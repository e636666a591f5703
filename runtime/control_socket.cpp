// One loop over poll(2). Sockets are asked without blocking, whatever their mode is.
#include "runtime/control_socket.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

namespace vhbm {
namespace {

// Of one process id, in different process namespaces.
constexpr int most_names = 16;
// How often an answer that is not there yet is asked for.
constexpr int pending_interval_ms = 5;
constexpr int silence_interval_ms = 1000;

}  // namespace

Status ControlSocket::start(const std::string& directory, Handler handler) {
  owner_ = getpid();
  handler_ = std::move(handler);
  Status why(Errc::system_error, "no name is left");
  for (int attempt = 0; attempt < most_names && !listening_.is_open(); ++attempt) {
    std::string name = std::to_string(owner_);
    if (attempt != 0) name.append(1, '-').append(std::to_string(attempt));
    name += control_suffix;
    auto made = ShareSocket::listen(directory, name);
    if (made.ok()) {
      listening_ = std::move(*made);
      path_ = directory + "/" + name;
    } else {
      why = made.status();
    }
  }
  if (!listening_.is_open()) return why;
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return {Errc::system_error, "no event to wait for"};
  return worker_.start("vhbm-control", std::chrono::nanoseconds(0), [this] { round(); });
}

void ControlSocket::stop() noexcept {
  if (owner_ == 0) return;
  if (owner_ == getpid()) {
    if (!path_.empty()) unlink(path_.c_str());
    path_.clear();
    if (wake_ >= 0) (void)eventfd_write(wake_, 1);
  }
  worker_.stop();
  // What a stuck thread waits for stays open.
  if (owner_ == getpid() && !worker_.ended()) return;
  clients_.clear();
  listening_.close();
  if (wake_ >= 0) close(wake_);
  wake_ = -1;
}

void ControlSocket::round() noexcept {
  try {
    serve();
  } catch (...) {
    // No memory for a request: those who asked see their connections close.
    clients_.clear();
  }
}

void ControlSocket::serve() {
  std::vector<pollfd> waiting{{listening_.descriptor(), POLLIN, 0}, {wake_, POLLIN, 0}};
  int limit = clients_.empty() ? -1 : silence_interval_ms;
  for (const Client& client : clients_) {
    const bool listens = client.pending == nullptr && !client.closing && client.unsent.empty();
    const int read = listens ? POLLIN : 0;
    const int write = client.unsent.empty() ? 0 : POLLOUT;
    waiting.push_back({client.socket.descriptor(), static_cast<short>(read | write), 0});
    if (client.pending != nullptr) limit = pending_interval_ms;
  }
  if (poll(waiting.data(), waiting.size(), limit) < 0 || (waiting[1].revents & POLLIN) != 0) return;
  if (((waiting[0].revents | waiting[1].revents) & POLLNVAL) != 0) {
    // A program that closes all files it does not know, as daemons do, has closed these.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::size_t index = 2;
  for (Client& client : clients_) {
    const short happened = waiting[index++].revents;
    if ((happened & POLLIN) != 0) read(client);
    // Nobody is left to be answered.
    if ((happened & (POLLERR | POLLHUP | POLLNVAL)) != 0 && (happened & POLLIN) == 0) {
      client.socket.close();
      continue;
    }
    // More than one request may have come at once.
    do {
      advance(client);
      write(client);
    } while (client.unsent.empty() && client.pending == nullptr && client.socket.is_open() &&
             client.received.find('\n') != std::string::npos);
  }
  std::erase_if(clients_, is_done);
  if ((waiting[0].revents & POLLIN) != 0) take_in();
}

void ControlSocket::take_in() {
  ShareSocket made = listening_.accept(patience);
  if (!made.is_open()) return;
  if (clients_.size() >= most_clients) {
    // Whoever has been silent longest makes room, unless all wait for their answers.
    const auto silent =
        std::min_element(clients_.begin(), clients_.end(), [](const Client& a, const Client& b) {
          if ((a.pending == nullptr) != (b.pending == nullptr)) return a.pending == nullptr;
          return a.silent_since < b.silent_since;
        });
    if (silent->pending != nullptr) return;
    clients_.erase(silent);
  }
  clients_.emplace_back();
  clients_.back().socket = std::move(made);
}

void ControlSocket::read(Client& client) {
  char bytes[1024];
  const ssize_t count = recv(client.socket.descriptor(), bytes, sizeof bytes, MSG_DONTWAIT);
  if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
    // A request may well have come before the end.
    client.closing = true;
    if (client.received.find('\n') == std::string::npos) client.received.clear();
    return;
  }
  if (count > 0) client.received.append(bytes, static_cast<std::size_t>(count));
}

void ControlSocket::advance(Client& client) {
  for (;;) {
    if (client.pending != nullptr) {
      const std::optional<std::string> answer = client.pending();
      if (!answer) return;
      client.pending = nullptr;
      client.unsent += *answer + "\n";
      client.silent_since = Clock::now();
    }
    const std::size_t end = client.received.find('\n');
    if ((end == std::string::npos ? client.received.size() : end) > longest_request) {
      client.unsent += "{\"ok\":false,\"error\":\"a request has at most " +
                       std::to_string(longest_request) + " characters\"}\n";
      client.received.clear();
      client.closing = true;
      return;
    }
    // One that does not read its answers gets no more of them.
    if (end == std::string::npos || !client.unsent.empty()) return;
    const std::string request = client.received.substr(0, end);
    client.received.erase(0, end + 1);
    client.silent_since = Clock::now();
    if (!request.empty()) client.pending = handler_(request);
  }
}

void ControlSocket::write(Client& client) {
  if (client.unsent.empty()) return;
  const ssize_t sent = send(client.socket.descriptor(), client.unsent.data(), client.unsent.size(),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) {
    client.unsent.erase(0, static_cast<std::size_t>(sent));
    client.silent_since = Clock::now();
  } else if (errno != EAGAIN && errno != EINTR) {
    client.socket.close();
  }
}

bool ControlSocket::is_done(const Client& client) {
  if (!client.socket.is_open()) return true;
  if (client.pending != nullptr) return false;
  const bool nothing_left =
      client.unsent.empty() && client.received.find('\n') == std::string::npos;
  return (client.closing && nothing_left) || Clock::now() - client.silent_since > patience;
}

}  // namespace vhbm
