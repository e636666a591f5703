// Asks a process under vHBM to do something, over its control socket: for every command that
// steers.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace vhbm::cli {

// An order is one JSON object, as runtime/orders.def lists them.
using Order = nlohmann::ordered_json;

// The argument that says which process is meant.
void add_process(CLI::App& command, std::string& text);
// The process that `text` means: a process id, or the name of a program or script that exactly one
// process under vHBM runs. nullopt, and said why on stderr, when there is none or more than one.
[[nodiscard]] std::optional<pid_t> find_process(const std::string& text);

struct Answer {
  int exit_code;
  Order reply;      // when the process answered
  std::string why;  // unless exit_code is exit_ok
};
[[nodiscard]] Answer ask(pid_t process, const Order& order, std::chrono::milliseconds patience);

// What every command that steers has: the process, --json, the exit codes. `order` makes the
// request once the command line was read, `tell` says in words what a positive answer means.
struct Steering {
  std::function<Order()> order;
  std::function<std::string(pid_t, const Order& reply)> tell;
  std::chrono::milliseconds patience{10'000};
};
void steer(CLI::App& command, int& exit_code, Steering steering);

inline constexpr const char* steering_exit_codes =
    "Exit code: 0 when it is done; 1 when there is no such process, or it does not run under vHBM; "
    "2 when\nthe process refuses, and says why; 3 when it does not answer.";

// Both return what came of it, in words for the user.
[[nodiscard]] std::string put_to_sleep(pid_t process);
[[nodiscard]] std::string wake_up(pid_t process);

}  // namespace vhbm::cli
