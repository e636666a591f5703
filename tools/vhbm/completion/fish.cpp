// One line an option: at which command it stands, what it is, what follows it.
#include "command_tree.h"

namespace vhbm::cli {
namespace {

// Fish quotes a quote in another way than the other shells.
std::string fish_quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

std::string value_of(const CompletedOption& option) {
  switch (option.value) {
    case ValueKind::none:
      return "";
    case ValueKind::any:
      return " -x";
    case ValueKind::file:
      return " -rF";
    case ValueKind::command:
      return " -rFa '(__fish_complete_command)'";
    case ValueKind::word:
      return " -xa " + fish_quoted(joined(option.words, " "));
  }
  return "";
}

}  // namespace

std::string fish_completion(const CompletedCommand& tree) {
  std::string paths, lines;
  for (const CompletedCommand* command : all_of(tree)) {
    const std::string at =
        "complete -c vhbm -n " + fish_quoted("__vhbm_at " + fish_quoted(command->path));
    for (const CompletedCommand& below : command->commands) {
      paths += "      case " + fish_quoted(command->path + ":" + below.name) +
               "\n        set path " + fish_quoted(below.path) + "\n";
      lines += at + " -a " + below.name + " -d " + fish_quoted(below.text) + "\n";
    }
    for (const CompletedOption& option : command->options) {
      std::string names;
      for (const std::string& name : option.names) {
        names += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      lines += at + names + value_of(option) + " -d " + fish_quoted(option.text) + "\n";
    }
    for (const CompletedOption& option : command->positionals) {
      if (option.value == ValueKind::word) {
        lines += at + " -a " + fish_quoted(joined(option.words, " ")) + "\n";
      }
      if (option.value == ValueKind::file) lines += at + " -F\n";
      if (option.value == ValueKind::command) lines += at + " -Fa '(__fish_complete_command)'\n";
    }
  }
  return R"(# Completion of vhbm for fish; `vhbm completion fish` wrote this.
function __vhbm_at -d 'Is the command line at that command of vhbm?'
  set -l path ''
  for word in (commandline -opc)[2..-1]
    switch "$path:$word"
)" + paths +
         R"(    end
  end
  test "$path" = "$argv[1]"
end
complete -c vhbm -f
)" + lines;
}

}  // namespace vhbm::cli
