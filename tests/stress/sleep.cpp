#include "sleep.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "harm.h"
#include "runtime/share_socket.h"
#include "runtime/shared_file.h"

namespace stress {

void fall_asleep(std::chrono::milliseconds hold) {
  const char* const configured = std::getenv("VHBM_STATE_DIR");
  const std::string directory = vhbm::state_directory(configured == nullptr ? "" : configured);
  const auto socket = vhbm::ShareSocket::connect(
      directory, std::to_string(getpid()) + vhbm::control_suffix, std::chrono::seconds(30));
  // Natively, and before the first context, there is nobody to ask.
  if (!socket.ok()) return;
  const std::string order =
      R"({"command":"sleep","patience_ms":200,"hold_ms":)" + std::to_string(hold.count()) + "}\n";
  if (!socket->send(order.data(), order.size())) return;
  std::string answer;
  for (char byte = 0; byte != '\n'; answer += byte) {
    if (!socket->receive(&byte, 1)) throw Harm("the control socket does not answer: " + answer);
  }
}

}  // namespace stress
