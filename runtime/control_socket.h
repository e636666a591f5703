// The end at which a process takes orders: a Unix socket <pid>.control in the state directory, for
// its user and root. A request is a line, and so is its answer; requests of one connection are
// answered one after the other. Invariant: no client makes another one, or the process, wait: what
// is half-sent, not read, too long or too late costs its own connection. Locking: one thread serves
// all; it never takes a lock of the pager's for longer than a look.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <optional>
#include <string>

#include "runtime/share_socket.h"
#include "runtime/status.h"
#include "runtime/worker.h"

namespace vhbm {

class ControlSocket {
 public:
  // An answer that takes its time is asked for again and again until it is there.
  using Answer = std::function<std::optional<std::string>()>;
  // What answers a request, given without its line's end; called by the thread.
  using Handler = std::function<Answer(const std::string& request)>;

  static constexpr std::size_t longest_request = 4096;
  static constexpr std::size_t most_clients = 32;
  // How long a client may stay silent, or leave its answer unread.
  static constexpr std::chrono::seconds patience{5};

  ControlSocket() = default;
  ~ControlSocket() { stop(); }
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  //   Errc::system_error  no socket or thread can be had: the process takes no orders
  [[nodiscard]] Status start(const std::string& directory, Handler handler);
  // In a forked child the parent's socket stays as it is.
  void stop() noexcept;
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }

 private:
  using Clock = std::chrono::steady_clock;

  struct Client {
    ShareSocket socket;
    std::string received, unsent;
    Answer pending;
    Clock::time_point silent_since = Clock::now();
    bool closing = false;  // once its answer is sent
  };

  void round() noexcept;
  void serve();
  void take_in();
  void read(Client& client);
  void advance(Client& client);
  void write(Client& client);
  [[nodiscard]] static bool is_done(const Client& client);

  Handler handler_;
  std::string path_;
  ShareSocket listening_;
  int wake_ = -1;  // an event that ends the thread's waiting
  std::list<Client> clients_;
  pid_t owner_ = 0;
  Worker worker_;
};

}  // namespace vhbm
