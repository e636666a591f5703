// Bash knows words only: which command, which option before, what may follow.
#include "command_tree.h"

namespace vhbm::cli {
namespace {

// A line of a case: what to do when the word after one of these is completed.
std::string value_case(const CompletedCommand& command, const CompletedOption& option) {
  std::vector<std::string> patterns;
  for (const std::string& name : option.names)
    patterns.push_back(quoted(command.path + ":" + name));
  std::string action = "return";
  if (option.value == ValueKind::file) action = "_vhbm_files \"$word\"; return";
  if (option.value == ValueKind::command) action = "_vhbm_commands \"$word\"; return";
  if (option.value == ValueKind::word) {
    action = "_vhbm_words \"$word\" " + quoted(joined(option.words, " ")) + "; return";
  }
  return "    " + joined(patterns, "|") + ") " + action + " ;;\n";
}

}  // namespace

std::string bash_completion(const CompletedCommand& tree) {
  std::string paths, values, words, positionals, programs;
  for (const CompletedCommand* command : all_of(tree)) {
    std::vector<std::string> all;
    for (const CompletedCommand& below : command->commands) {
      all.push_back(below.name);
      paths += "      " + quoted(command->path + ":" + below.name) +
               ") path=" + quoted(below.path) + " ;;\n";
    }
    for (const CompletedOption& option : command->options) {
      all.insert(all.end(), option.names.begin(), option.names.end());
      if (option.value != ValueKind::none) values += value_case(*command, option);
    }
    for (const CompletedOption& option : command->positionals) {
      all.insert(all.end(), option.words.begin(), option.words.end());
      if (option.value == ValueKind::file) {
        positionals += "    " + quoted(command->path) + ") _vhbm_files \"$word\"; return ;;\n";
      }
      if (option.value == ValueKind::command) {
        positionals += "    " + quoted(command->path) + ") _vhbm_commands \"$word\"; return ;;\n";
        programs += (programs.empty() ? "" : "|") + quoted(command->path);
      }
    }
    words += "    " + quoted(command->path) + ") _vhbm_words \"$word\" " +
             quoted(joined(all, " ")) + " ;;\n";
  }
  return R"(# Completion of vhbm for bash; `vhbm completion bash` wrote this.
_vhbm_words() { mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1"); }
_vhbm_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}
_vhbm_commands() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -c -- "$1"; compgen -f -- "$1")
}
_vhbm() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} path='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == -- ]]; then
      # What follows is another program's command line.
      case $path in
        )" +
         (programs.empty() ? "''" : programs) + R"()
          if declare -F _command_offset >/dev/null; then _command_offset $((i + 1))
          elif ((i + 1 == COMP_CWORD)); then _vhbm_commands "$word"
          else _vhbm_files "$word"
          fi ;;
      esac
      return
    fi
    case $path:${COMP_WORDS[i]} in
)" + paths +
         R"(    esac
  done
  # --option=value comes in three words.
  [[ $word == = ]] && word=''
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
  case $path:$before in
)" + values +
         R"(  esac
  [[ $word == -* ]] || case $path in
)" + positionals +
         R"(  esac
  case $path in
)" + words +
         R"(  esac
}
complete -F _vhbm vhbm
)";
}

}  // namespace vhbm::cli
