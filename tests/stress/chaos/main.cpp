// chaos [--processes N] [--seconds S] [--seed N]: processes that vHBM pages, on one simulated GPU,
// are put to sleep, woken, stopped, killed and started anew, while their disk fills up, their store
// dies and their host memory runs out. Exit code 0: no byte was wrong, nothing hung, nothing was
// left behind. 1: harm was done.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "victim.h"
#include "world.h"

namespace {

int run(const chaos::Choices& choices) {
  std::printf("chaos --processes %u --seconds %g --seed %llu\n", choices.processes, choices.seconds,
              static_cast<unsigned long long>(choices.seed));
  std::fflush(stdout);
  chaos::World world(choices);
  {
    std::vector<std::unique_ptr<chaos::Victim>> victims;
    for (unsigned i = 0; i < choices.processes; ++i) {
      victims.push_back(std::make_unique<chaos::Victim>(world, i));
    }
    std::vector<std::thread> tormentors;
    for (auto& victim : victims) {
      tormentors.emplace_back([&victim] { victim->torment(); });
    }
    world.trouble();
    for (std::thread& one : tormentors) one.join();
  }
  try {
    if (!world.harmed()) {
      // Whoever starts next removes what the killed had no time to remove.
      chaos::Victim last(world, 0);
      last.live_in_peace();
      world.check_nothing_left(std::to_string(last.id()) + ".stats");
    }
  } catch (const std::exception& error) {
    world.report_harm(error.what());
  }
  world.print_summary();
  return world.harmed() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  chaos::Choices choices;
  CLI::App app("Torments processes that vHBM pages, and compares all their bytes");
  app.footer(
      "Example: chaos --processes 20 --seconds 600 --worker build/release/bin/chaos_worker "
      "--library build/release/lib/libvhbm.so");
  app.add_option("--processes", choices.processes, "At the same time")->check(CLI::Range(1, 200));
  app.add_option("--seconds", choices.seconds, "How long");
  app.add_option("--seed", choices.seed, "Of what is done to them (a random one when absent)");
  app.add_option("--memory", choices.memory, "MiB that each of them keeps")
      ->check(CLI::Range(16, 1024));
  app.add_option("--patience", choices.patience, "Seconds without a sign of life that are a hang");
  app.add_option("--on-hang", choices.on_hang, "Shell command that then gets the process's id");
  app.add_option("--worker", choices.worker, "The program chaos_worker")->required();
  app.add_option("--library", choices.library, "What they preload")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    return run(choices);
  } catch (const std::exception& error) {
    std::printf("harm: %s\n", error.what());
    return 1;
  }
}
