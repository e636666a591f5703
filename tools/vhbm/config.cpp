// `vhbm config`: checks a configuration file, shows which values count and why, lists the options.
// Needs no GPU and starts nothing.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "option_listing.h"
#include "option_names.h"
#include "runtime/config_file.h"
#include "runtime/option_table.h"
#include "runtime/options.h"
#include "terminal.h"

namespace vhbm::cli {
namespace {

constexpr const char* config_examples = R"(Examples:
  vhbm config check server.toml           is this file accepted?
  vhbm config show --config server.toml   what would count, and where it comes from
  vhbm config options                     what can be set
  vhbm config options --toml >server.toml a file to begin with

`vhbm config COMMAND --help` says more.)";

constexpr const char* check_examples = R"(Examples:
  vhbm config check server.toml && vhbm run --config server.toml -- ./server
  vhbm config check                       the file that VHBM_CONFIG names

Exit code: 0 when the file is accepted, 1 when it is not (each refusal is one line on stderr), 64
when no file is named.)";

constexpr const char* show_examples = R"(Examples:
  vhbm config show                        what counts for a program started from this shell
  vhbm config show --config server.toml --json

Values come from, weakest first: the default, the file, VHBM_<OPTION> in the environment.

Exit code: 0, or 1 when the file or a variable is not accepted (stderr says which).)";

constexpr const char* options_examples = R"(Examples:
  vhbm config options
  vhbm config options --json              name, variable, type, default, accepted, text
  vhbm config options --toml >server.toml a file to begin with: everything documented, nothing set

Exit code: 0.)";

void say_refused(const std::string& line) {
  std::fprintf(stderr, "%s\n", painted(line, Colour::red, stderr).c_str());
}

int check(const std::string& named) {
  const char* from_environment = std::getenv("VHBM_CONFIG");
  const std::string file = !named.empty()                ? named
                           : from_environment != nullptr ? from_environment
                                                         : "";
  if (file.empty()) {
    std::fprintf(stderr, "vhbm: name a file to check, or set VHBM_CONFIG\n");
    return exit_usage;
  }
  Options options;
  const auto refusals = read_config_file(file, known_words(), options);
  for (const std::string& line : refusals) say_refused(line);
  if (!refusals.empty()) return exit_refused;
  std::printf("%s: %s\n", file.c_str(), painted("ok", Colour::green, stdout).c_str());
  return exit_ok;
}

const char* name_of(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::preset:
      return "default";
    case Origin::Kind::file:
      return "file";
    case Origin::Kind::environment:
      return "environment";
  }
  return "";
}

std::string in_words(const TagRule& rule) {
  std::string text = rule.max_size.value == UINT64_MAX
                         ? write_bytes(rule.min_size) + " and above"
                         : write_bytes(rule.min_size) + " to " + write_bytes(rule.max_size);
  if (rule.tag) text += std::string(": ") + name_of(*rule.tag);
  return text + (rule.held ? rule.tag ? ", held" : ": held" : "");
}

void show_as_text(const Options& options) {
  struct Line {
    std::string name, value, origin;
  };
  std::vector<Line> lines;
  for (std::size_t id = 0; id < option_count; ++id) {
    const OptionRow& row = option_rows()[id];
    const Origin& origin = options.origins[id];
    const std::string value = row.write(options);
    lines.push_back({row.name, value.empty() ? "\"\"" : value,
                     origin.place.empty() ? name_of(origin.kind) : origin.place});
  }
  for (const TagRule& rule : options.tag_rules) {
    lines.push_back({"[[tag]]", in_words(rule), name_of(Origin::Kind::file)});
  }
  std::size_t name_width = 0, value_width = 0;
  for (const Line& line : lines) {
    name_width = std::max(name_width, line.name.size());
    value_width = std::max(value_width, line.value.size());
  }
  for (const Line& line : lines) {
    const std::string origin = line.origin == name_of(Origin::Kind::preset)
                                   ? painted(line.origin, Colour::dim, stdout)
                                   : line.origin;
    std::printf("%-*s  %-*s  %s\n", static_cast<int>(name_width), line.name.c_str(),
                static_cast<int>(value_width), line.value.c_str(), origin.c_str());
  }
}

nlohmann::ordered_json as_json(const Options& options) {
  nlohmann::ordered_json all;
  const char* file = std::getenv("VHBM_CONFIG");
  all["config"] = file == nullptr || *file == '\0' ? nlohmann::ordered_json() : file;
  for (std::size_t id = 0; id < option_count; ++id) {
    const Origin& origin = options.origins[id];
    all["options"][option_rows()[id].name] = {{"value", option_rows()[id].write(options)},
                                              {"origin", name_of(origin.kind)},
                                              {"place", origin.place}};
  }
  all["tag_rules"] = nlohmann::ordered_json::array();
  for (const TagRule& rule : options.tag_rules) {
    all["tag_rules"].push_back({{"min_size", rule.min_size.value},
                                {"max_size", rule.max_size.value},
                                {"is", nullptr},
                                {"held", rule.held}});
    if (rule.tag) all["tag_rules"].back()["is"] = name_of(*rule.tag);
  }
  return all;
}

int show(const std::string& file, bool json) {
  if (!file.empty()) setenv("VHBM_CONFIG", file.c_str(), 1);
  const auto options = Options::from_environment(known_words());
  if (!options.ok()) {
    say_refused(options.status().message());
    return exit_refused;
  }
  if (json) {
    // A path may hold any bytes; what is not UTF-8 is replaced.
    const auto replace = nlohmann::ordered_json::error_handler_t::replace;
    std::printf("%s\n", as_json(*options).dump(2, ' ', false, replace).c_str());
  } else {
    show_as_text(*options);
  }
  return exit_ok;
}

struct Request {
  std::string file;
  bool json = false;
  bool toml = false;
};

}  // namespace

void add_config_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* config = app.add_subcommand("config", "Check, show and document the configuration");
  config->require_subcommand(1);
  config->footer(config_examples);

  CLI::App* check_command = config->add_subcommand("check", "Is a configuration file accepted?");
  check_command->add_option("file", request->file, "the file; else the one that VHBM_CONFIG names")
      ->type_name("FILE");
  check_command->footer(check_examples);
  check_command->callback([request, &exit_code] { exit_code = check(request->file); });

  CLI::App* show_command = config->add_subcommand("show", "Show every value and its origin");
  show_command->add_option("--config", request->file, "the file; else the one of VHBM_CONFIG")
      ->type_name("FILE");
  show_command->add_flag("--json", request->json, "print JSON");
  show_command->footer(show_examples);
  show_command->callback([request, &exit_code] { exit_code = show(request->file, request->json); });

  CLI::App* options_command = config->add_subcommand("options", "List what can be set");
  CLI::Option* json = options_command->add_flag("--json", request->json, "print JSON");
  options_command->add_flag("--toml", request->toml, "print a configuration file")->excludes(json);
  options_command->footer(options_examples);
  options_command->callback([request] {
    const std::string text = request->json   ? options_as_json()
                             : request->toml ? options_as_toml()
                                             : options_as_text();
    std::fputs(text.c_str(), stdout);
  });
}

}  // namespace vhbm::cli
