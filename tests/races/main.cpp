// races --race NAME --variant wrong|right [--rounds N] [--seconds S] [--seed N]: runs one race
// under the scheduling fuzzer. Exit code 0: every round was right. 1: the race was seen, and the
// process's GPU is lost to it. 2: the program could not run.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "race.h"

namespace races {
namespace {

struct Run {
  std::string race, variant;
  unsigned rounds = 10'000;
  double seconds = 0;  // 0: no limit
  unsigned seed = std::random_device{}();
  unsigned intensity = 10;
};

const RaceEntry& find_race(const std::string& name) {
  for (const RaceEntry& entry : all_races()) {
    if (name == entry.name) return entry;
  }
  throw Unusable("'" + name + "' is no race: see --list");
}

int run(const Run& run) {
  using Clock = std::chrono::steady_clock;
  const RaceEntry& entry = find_race(run.race);
  const Variant variant = run.variant == "right" ? Variant::right : Variant::wrong;
  // Read by the simulated driver when it starts; a real one races as it likes.
  const std::string fuzz = std::to_string(run.seed) + ":" + std::to_string(run.intensity);
  setenv("SIMGPU_FUZZ", fuzz.c_str(), 1);
  std::printf("%s, %s: %s. Fuzzer %s\n", entry.name, run.variant.c_str(),
              variant == Variant::right ? entry.right : entry.wrong, fuzz.c_str());

  const auto begin = Clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  const Gpu gpu;
  const auto race = entry.make(gpu);
  unsigned round = 0;
  try {
    for (; round < run.rounds && (run.seconds == 0 || elapsed() < run.seconds); ++round) {
      race->round(round, variant);
    }
  } catch (const Detected& detected) {
    std::printf("failed in round %u, after %.3f s: %s\n", round, elapsed(), detected.what());
    return 1;
  }
  std::printf("%u rounds right in %.3f s\n", round, elapsed());
  return 0;
}

void list() {
  for (const RaceEntry& entry : all_races()) {
    std::printf("%-26s wrong: %s\n%-26s right: %s\n", entry.name, entry.wrong, "", entry.right);
  }
}

}  // namespace
}  // namespace races

int main(int argc, char** argv) {
  races::Run run;
  bool list = false;
  CLI::App app("Races between a host that remaps memory and a GPU that uses it");
  app.add_flag("--list", list, "Print the races");
  app.add_option("--race", run.race, "Which race");
  app.add_option("--variant", run.variant, "The wrong protocol, or its right twin")
      ->check(CLI::IsMember({"wrong", "right"}));
  app.add_option("--rounds", run.rounds, "Rounds at most")->capture_default_str();
  app.add_option("--seconds", run.seconds, "Begin no round after this; 0 for no limit")
      ->capture_default_str();
  app.add_option("--seed", run.seed, "The fuzzer's seed, else random");
  app.add_option("--intensity", run.intensity, "Percent of the fuzzer's points that are delayed")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    if (list) {
      races::list();
      return 0;
    }
    if (run.race.empty() || run.variant.empty()) {
      throw races::Unusable("--race and --variant are wanted, or --list");
    }
    return races::run(run);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "races: %s\n", error.what());
    return 2;
  }
}
