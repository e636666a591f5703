// `vhbm completion`: what a shell needs to complete this command's line.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "../commands.h"
#include "../exit_code.h"
#include "command_tree.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  source <(vhbm completion bash)          for this shell; in ~/.bashrc, for every one
  vhbm completion bash >/etc/bash_completion.d/vhbm
  vhbm completion zsh >"${fpath[1]}/_vhbm"
  vhbm completion fish >~/.config/fish/completions/vhbm.fish

Exit code: 0, or 64 for another shell.)";

struct Shell {
  const char* name;
  std::string (*write)(const CompletedCommand& tree);
};

constexpr Shell shells[] = {
    {"bash", bash_completion}, {"zsh", zsh_completion}, {"fish", fish_completion}};

}  // namespace

void add_completion_command(CLI::App& app, int& exit_code) {
  const auto named = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Write what completes this in a shell");
  std::vector<std::string> names;
  for (const Shell& shell : shells) names.emplace_back(shell.name);
  command->add_option("shell", *named, "whose")->required()->check(CLI::IsMember(names));
  command->footer(examples);
  command->callback([named, &app, &exit_code] {
    for (const Shell& shell : shells) {
      if (*named == shell.name) std::fputs(shell.write(command_tree(app)).c_str(), stdout);
    }
    exit_code = exit_ok;
  });
}

}  // namespace vhbm::cli
