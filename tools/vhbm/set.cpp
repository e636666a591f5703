// `vhbm set`: another value for an option of a process that runs.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "runtime/option_table.h"
#include "runtime/words.h"
#include "steering.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm set 4711 hbm_limit 20GiB    the process gives HBM up until it holds 20 GiB
  vhbm set 4711 idle_seconds 30s   it falls asleep after 30 seconds without work

What the process itself is told of its memory does not change.

)";

std::string live_options() {
  std::vector<std::string> names;
  for (const OptionRow& row : option_rows()) {
    if (row.live) names.emplace_back(row.name);
  }
  return joined_with_or(names);
}

}  // namespace

void add_set_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("set", "Change an option of a process that runs");
  command->footer(examples + std::string(steering_exit_codes));
  const auto option = std::make_shared<std::string>(), value = std::make_shared<std::string>();
  steer(*command, exit_code,
        {[=]() -> Order {
           return {{"command", "set"}, {"option", *option}, {"value", *value}};
         },
         [](pid_t, const Order& reply) {
           return "has " + reply.value("option", std::string()) + " = " +
                  reply.value("value", std::string()) + " from now on";
         }});
  command->add_option("option", *option, live_options())->required();
  command->add_option("value", *value, "as in a configuration file")->required();
}

}  // namespace vhbm::cli
