// The command line as shells complete it: what CLI11 was told, and no list beside that.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace vhbm::cli {

// What may stand as a value: read from the type that an option's help shows (FILE, COMMAND, or the
// words it accepts).
enum class ValueKind { none, any, file, command, word };

struct CompletedOption {
  std::vector<std::string> names;  // with their dashes; none for what stands without one
  std::string text;
  ValueKind value = ValueKind::none;
  std::vector<std::string> words;  // that are accepted, of ValueKind::word
};

struct CompletedCommand {
  std::string path;  // "config check"; "" for vhbm itself
  std::string name;
  std::string text;
  std::vector<CompletedOption> options;
  std::vector<CompletedOption> positionals;
  std::vector<CompletedCommand> commands;
};

[[nodiscard]] CompletedCommand command_tree(const CLI::App& app);
// The command and all below it, in the order of the help.
[[nodiscard]] std::vector<const CompletedCommand*> all_of(const CompletedCommand& command);

[[nodiscard]] std::string bash_completion(const CompletedCommand& tree);
[[nodiscard]] std::string zsh_completion(const CompletedCommand& tree);
[[nodiscard]] std::string fish_completion(const CompletedCommand& tree);

// In single quotes, as all three shells take it.
[[nodiscard]] std::string quoted(const std::string& text);
[[nodiscard]] std::string joined(const std::vector<std::string>& parts, const char* between);

}  // namespace vhbm::cli
