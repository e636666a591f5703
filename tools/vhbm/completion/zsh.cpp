// A function a command, which hands on to those of the commands below it.
#include <algorithm>

#include "command_tree.h"

namespace vhbm::cli {
namespace {

std::string function_of(const CompletedCommand& command) {
  std::string name = command.path.empty() ? "_vhbm" : "_vhbm_" + command.path;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

// As a description inside a specification of _arguments or _describe.
std::string described(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string action_of(const CompletedOption& option) {
  switch (option.value) {
    case ValueKind::none:
      return "";
    case ValueKind::any:
      return ":value: ";
    case ValueKind::file:
      return ":file:_files";
    case ValueKind::command:
      return ":command:_normal -p vhbm";
    case ValueKind::word:
      return ":word:(" + joined(option.words, " ") + ")";
  }
  return "";
}

std::string arguments_of(const CompletedCommand& command) {
  std::string text;
  for (const CompletedOption& option : command.options) {
    for (const std::string& name : option.names) {
      text +=
          " \\\n    " + quoted("*" + name + "[" + described(option.text) + "]" + action_of(option));
    }
  }
  for (const CompletedOption& option : command.positionals) {
    text += " \\\n    " + quoted(option.value == ValueKind::command ? "*:" + action_of(option)
                                                                    : action_of(option));
  }
  return text;
}

std::string text_of(const CompletedCommand& command) {
  std::string text = function_of(command) + "() {\n";
  if (command.commands.empty()) {
    return text + "  _arguments -s -S" + arguments_of(command) + "\n}\n";
  }
  std::string described_commands, cases;
  for (const CompletedCommand& below : command.commands) {
    described_commands += "\n    " + quoted(below.name + ":" + described(below.text));
    cases += "      " + below.name + ") " + function_of(below) + " ;;\n";
  }
  return text + "  local context state state_descr line\n  typeset -A opt_args\n" +
         "  local -a commands=(" + described_commands + ")\n  _arguments -C" +
         arguments_of(command) + " \\\n    '1: :->command' '*:: :->rest'\n" +
         "  case $state in\n    command) _describe command commands ;;\n" +
         "    rest) case $words[1] in\n" + cases + "    esac ;;\n  esac\n}\n";
}

}  // namespace

std::string zsh_completion(const CompletedCommand& tree) {
  std::string text =
      "#compdef vhbm\n# Completion of vhbm for zsh; `vhbm completion zsh` wrote this.\n";
  for (const CompletedCommand* command : all_of(tree)) text += text_of(*command);
  // Called by the completion system, or sourced.
  return text + "if [[ $funcstack[1] == _vhbm ]]; then _vhbm \"$@\"; else compdef _vhbm vhbm; fi\n";
}

}  // namespace vhbm::cli
