// `vhbm hold` and `vhbm tag`: what a user says about regions of a process that runs.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "quantity.h"
#include "steering.h"

namespace vhbm::cli {
namespace {

constexpr const char* hold_examples = R"(Examples:
  vhbm hold 4711 --id 12                   region 12 of `vhbm regions 4711` stays in HBM
  vhbm hold 4711 --min-size 1GiB           so do all of a GiB or more
  vhbm hold 4711 --id 12 --release         it may leave again

It is about the regions that live now; a [[tag]] rule of the configuration is about later ones too.

)";
constexpr const char* tag_examples = R"(Examples:
  vhbm tag 4711 kv --min-size 64MiB --max-size 64MiB    regions of 64 MiB hold KV
  vhbm tag 4711 none --address 0x7f0000200000           what that one holds is guessed again

It is about the regions that live now; a [[tag]] rule of the configuration is about later ones too.

)";

// Which regions are meant.
struct Choice {
  std::uint64_t id = 0;
  std::string address, min_size, max_size;
};

std::shared_ptr<Choice> add_choice(CLI::App& command) {
  const auto choice = std::make_shared<Choice>();
  auto* const id = command.add_option("--id", choice->id, "the region of that number")
                       ->check(CLI::PositiveNumber);
  auto* const address =
      command.add_option("--address", choice->address, "the region around an address");
  auto* const least =
      command.add_option("--min-size", choice->min_size, "regions of at least that size");
  auto* const most =
      command.add_option("--max-size", choice->max_size, "regions of at most that size");
  id->excludes(address)->excludes(least)->excludes(most);
  address->excludes(least)->excludes(most);
  return choice;
}

Order with_choice(Order order, const Choice& choice) {
  if (choice.id != 0) order["id"] = choice.id;
  if (!choice.address.empty()) order["address"] = choice.address;
  if (!choice.min_size.empty()) order["min_size"] = choice.min_size;
  if (!choice.max_size.empty()) order["max_size"] = choice.max_size;
  return order;
}

std::string regions_text(const Order& reply) {
  const auto count = reply.value("regions", std::uint64_t{0});
  return std::to_string(count) + (count == 1 ? " region of " : " regions, together ") +
         bytes_text(reply.value("bytes", std::uint64_t{0}));
}

}  // namespace

void add_hold_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("hold", "Keep regions of a process in HBM");
  command->footer(hold_examples + std::string(steering_exit_codes));
  const auto release = std::make_shared<bool>(false);
  const auto choice = add_choice(*command);
  command->add_flag("--release", *release, "do not hold them any more");
  steer(*command, exit_code,
        {[=] {
           return with_choice({{"command", "hold"}, {"held", !*release}}, *choice);
         },
         [=](pid_t, const Order& reply) {
           return (*release ? "no longer holds " : "holds ") + regions_text(reply);
         }});
}

void add_tag_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("tag", "Say what regions of a process hold");
  command->footer(tag_examples + std::string(steering_exit_codes));
  const auto tag = std::make_shared<std::string>();
  const auto choice = add_choice(*command);
  steer(*command, exit_code,
        {[=] {
           return with_choice({{"command", "tag"}, {"tag", *tag}}, *choice);
         },
         [=](pid_t, const Order& reply) { return "has " + *tag + " in " + regions_text(reply); }});
  command->add_option("tag", *tag, "weights, kv, workspace, other or none")->required();
}

}  // namespace vhbm::cli
