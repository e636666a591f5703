// `vhbm doctor`: is everything here that vHBM needs, and what is to be done where it is not?
#include "doctor.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "exit_code.h"
#include "quantity.h"
#include "terminal.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm doctor                  one line a check: ok, or what to do
  vhbm doctor --json           for a program to read
  vhbm doctor --timeout 120    where a driver takes long to start

What the driver is asked happens in a process of its own: a driver that crashes or hangs is a
finding like any other.

Exit code: 0 when all that is needed is there, 1 when something is not, 2 without a GPU driver.)";

struct Check {
  const char* name;
  std::vector<Finding> (*look)(const Surroundings& surroundings);
};
constexpr Check checks[] = {
#define CHECK_ROW(name) {#name, check_##name},
#include "doctor_checks.def"
#undef CHECK_ROW
};

struct Request {
  bool json = false;
  double timeout = 30;
};

const char* name_of(Verdict verdict) {
  constexpr const char* names[] = {"ok", "advice", "problem"};
  return names[static_cast<std::size_t>(verdict)];
}

std::string line_of(const char* check, const Finding& finding) {
  const Colour colour = finding.verdict == Verdict::ok       ? Colour::green
                        : finding.verdict == Verdict::advice ? Colour::dim
                                                             : Colour::red;
  std::string verdict = name_of(finding.verdict), name = check;
  verdict.resize(8, ' ');
  std::replace(name.begin(), name.end(), '_', ' ');
  name.resize(17, ' ');
  std::string text = painted(verdict, colour, stdout) + name + printable(finding.what);
  if (!finding.to_do.empty()) text += ": " + printable(finding.to_do);
  return text + "\n";
}

int doctor(const Request& request) {
  Surroundings surroundings{
      std::chrono::milliseconds(static_cast<std::int64_t>(request.timeout * 1000)), {}};
  surroundings.driver = find_driver(surroundings.limit);
  std::size_t problems = 0;
  auto json = nlohmann::ordered_json::array();
  for (const Check& check : checks) {
    for (const Finding& finding : check.look(surroundings)) {
      problems += finding.verdict == Verdict::problem ? 1 : 0;
      if (request.json) {
        json.push_back({{"check", check.name},
                        {"verdict", name_of(finding.verdict)},
                        {"what", finding.what},
                        {"to_do", finding.to_do}});
      } else {
        std::fputs(line_of(check.name, finding).c_str(), stdout);
        std::fflush(stdout);
      }
    }
  }
  if (request.json) {
    const nlohmann::ordered_json report{{"ok", problems == 0}, {"checks", json}};
    std::printf(
        "%s\n",
        report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
  } else if (problems == 0) {
    std::printf("all that vHBM needs is here\n");
  } else {
    std::printf("%zu %s to solve\n", problems, problems == 1 ? "problem" : "problems");
  }
  if (!surroundings.driver.loaded) return exit_no_driver;
  return problems == 0 ? exit_ok : exit_problem;
}

}  // namespace

void add_doctor_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand("doctor", "Check that all that vHBM needs is there");
  command->add_flag("--json", request->json, "print JSON");
  command->add_option("--timeout", request->timeout, "seconds that the driver may take for a check")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  command->footer(examples);
  command->callback([request, &exit_code] { exit_code = doctor(*request); });
}

}  // namespace vhbm::cli
