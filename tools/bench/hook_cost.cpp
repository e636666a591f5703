// What vHBM adds to calls of the driver API: starts the benchmark program in turn without and with
// the library preloaded, on each driver, and compares their least disturbed rounds.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tools/bench/comparison.h"

namespace {

using vhbm::bench::Comparison;

struct Choices {
  std::string program, library, json_file;
  std::vector<std::string> drivers;  // NAME=FOLDER of its libcuda.so.1
  int rounds = 7;
  double min_time = 0.1, most_added_ns = 100;
};

// A folder for statistics that no other process shares.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "hook_cost.XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// What the command prints; false when it cannot be started or fails.
bool output_of(const std::string& command, std::string* text) {
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return false;
  std::array<char, 4096> buffer;
  for (std::size_t read; (read = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    text->append(buffer.data(), read);
  }
  const int status = pclose(pipe);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string command_for(const Choices& choices, const std::string& folder, Comparison::Run run,
                        const std::string& state) {
  std::string command =
      "env -u VHBM_DISABLE VHBM_STATE_DIR=" + quoted(state) + " LD_LIBRARY_PATH=" + quoted(folder);
  if (run == Comparison::Run::with_vhbm) command += " LD_PRELOAD=" + quoted(choices.library);
  return command + " " + quoted(choices.program) +
         " --benchmark_format=json --benchmark_min_time=" + std::to_string(choices.min_time);
}

bool measure(const Choices& choices, Comparison* comparison) {
  const TemporaryFolder state;
  for (int round = 0; round < choices.rounds; ++round) {
    for (const std::string& driver : choices.drivers) {
      const auto equals = driver.find('=');
      const std::string name = driver.substr(0, equals), folder = driver.substr(equals + 1);
      for (const auto run : {Comparison::Run::native, Comparison::Run::with_vhbm}) {
        const std::string command = command_for(choices, folder, run, state.path());
        std::string figures, why_not;
        if (!output_of(command, &figures)) why_not = "it failed";
        if (why_not.empty() && comparison->add(name, run, figures, &why_not)) continue;
        std::fprintf(stderr, "hook_cost: %s\n  command: %s\n", why_not.c_str(), command.c_str());
        return false;
      }
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Choices choices;
  CLI::App app("Compares driver calls without and with vHBM preloaded.");
  app.add_option("--program", choices.program, "the benchmark program")->required();
  app.add_option("--library", choices.library, "libvhbm.so")->required();
  app.add_option("--driver", choices.drivers, "NAME=FOLDER: a driver, and where its library is")
      ->required()
      ->check([](const std::string& text) {
        const auto equals = text.find('=');
        return equals == std::string::npos || equals == 0 ? "expected NAME=FOLDER" : "";
      });
  app.add_option("--rounds", choices.rounds, "runs of each; the least disturbed is shown, the median judged")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--min-time", choices.min_time, "seconds each call is timed in a run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--most-added", choices.most_added_ns, "nanoseconds that a launch may gain")
      ->capture_default_str();
  app.add_option("--json", choices.json_file, "file for the figures");
  CLI11_PARSE(app, argc, argv);

  Comparison comparison(choices.most_added_ns);
  if (!measure(choices, &comparison)) return 1;
  std::fputs(comparison.to_text().c_str(), stdout);
  if (choices.json_file.empty()) return 0;
  std::ofstream file(choices.json_file);
  file << comparison.to_json();
  file.close();
  if (file) return 0;
  std::fprintf(stderr, "hook_cost: cannot write %s\n", choices.json_file.c_str());
  return 1;
}
