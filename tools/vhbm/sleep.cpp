// `vhbm sleep` and `vhbm wake`.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "quantity.h"
#include "steering.h"

namespace vhbm::cli {
namespace {

constexpr const char* sleep_examples = R"(Examples:
  vhbm sleep 4711                 its memory leaves the GPU; its next launch brings it back
  vhbm sleep server.py            the same, by the name of what it runs
  vhbm sleep 4711 --hold 30       work does not wake it for 30 seconds, but `vhbm wake` does

What may not move stays in HBM and is told: held and shared regions, memory of the driver's own, and
what host_limit leaves no room for. A process that is at work is not put to sleep.

)";
constexpr const char* wake_examples = R"(Example:
  vhbm wake 4711    what its last step used is in HBM again; the rest follows while it runs

)";

std::uint64_t number(const Order& reply, const char* key) {
  return reply.value(key, std::uint64_t{0});
}

}  // namespace

void add_sleep_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("sleep", "Free a process's HBM until it is needed again");
  const auto timeout = std::make_shared<double>(5);
  const auto hold = std::make_shared<double>(0);
  command->add_option("--timeout", *timeout, "how long to wait for its GPU work to end")
      ->check(CLI::Range(0.001, 3600.0))
      ->type_name("SECONDS");
  command->add_option("--hold", *hold, "so long its work has to wait")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("SECONDS");
  command->footer(sleep_examples + std::string(steering_exit_codes));
  const auto milliseconds = [](double seconds) {
    return static_cast<std::uint64_t>(seconds * 1000);
  };
  steer(*command, exit_code,
        {[=]() -> Order {
           return {{"command", "sleep"},
                   {"patience_ms", milliseconds(*timeout)},
                   {"hold_ms", milliseconds(*hold)}};
         },
         [](pid_t, const Order& reply) {
           const std::uint64_t stayed = number(reply, "stayed_bytes");
           return "is asleep: " + bytes_text(number(reply, "bytes")) + " left HBM" +
                  (stayed == 0 ? "" : ", " + bytes_text(stayed) + " stay there");
         },
         std::chrono::hours(2)});
}

void add_wake_command(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("wake", "Bring a sleeping process back before it is asked");
  command->footer(wake_examples + std::string(steering_exit_codes));
  steer(*command, exit_code,
        {[]() -> Order {
           return {{"command", "wake"}};
         },
         [](pid_t, const Order& reply) {
           return "is awake: " + bytes_text(number(reply, "bytes")) + " are in HBM again";
         },
         std::chrono::hours(1)});
}

}  // namespace vhbm::cli
