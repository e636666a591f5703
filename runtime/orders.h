// What the orders of orders.def do. A request is one JSON object with the key "command", or the
// command alone as a word; the answer is one too: {"ok":true,...}, or {"ok":false,"error":"..."},
// which names the key, the value and what is accepted. Locking: called by the control socket's
// thread; takes a device's lock for moments.
#pragma once

#include <string>

#include "runtime/control_socket.h"

namespace vhbm {

class Devices;

class Orders {
 public:
  explicit Orders(Devices& devices) : devices_(devices) {}

  // Where there can be no socket, says so and goes on without.
  void start();
  void stop() noexcept { socket_.stop(); }
  [[nodiscard]] bool ended() const noexcept { return socket_.ended(); }

  // The answer to one request.
  [[nodiscard]] ControlSocket::Answer answer(const std::string& request);

 private:
  Devices& devices_;
  ControlSocket socket_;
};

}  // namespace vhbm
