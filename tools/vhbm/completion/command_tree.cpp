#include "command_tree.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace vhbm::cli {
namespace {

ValueKind kind_of(const std::string& type) {
  const std::string name = type.substr(0, type.find(':'));
  if (name == "FILE" || name == "PATH") return ValueKind::file;
  if (name == "COMMAND") return ValueKind::command;
  return type.find('{') == std::string::npos ? ValueKind::any : ValueKind::word;
}

// The words of "TEXT:{size,tag,resident}", or of "{size->0,tag->1}".
std::vector<std::string> words_of(const std::string& type) {
  std::vector<std::string> words;
  const std::size_t begin = type.find('{'), end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return words;
  std::istringstream list(type.substr(begin + 1, end - begin - 1));
  for (std::string word; std::getline(list, word, ',');) {
    words.push_back(word.substr(0, word.find("->")));
  }
  return words;
}

CompletedOption option_of(const CLI::Option& option) {
  CompletedOption completed;
  for (const std::string& name : option.get_lnames()) completed.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) completed.names.push_back("-" + name);
  completed.text = option.get_description();
  if (option.get_items_expected_max() == 0) return completed;
  completed.value = kind_of(option.get_type_name());
  completed.words = words_of(option.get_type_name());
  return completed;
}

CompletedCommand command_of(const CLI::App& app, const std::string& path) {
  CompletedCommand command;
  command.path = path;
  command.name = app.get_name();
  command.text = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    CompletedOption completed = option_of(*option);
    const bool positional = completed.names.empty();
    (positional ? command.positionals : command.options).push_back(std::move(completed));
  }
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    command.commands.push_back(
        command_of(*below, path.empty() ? below->get_name() : path + " " + below->get_name()));
  }
  return command;
}

}  // namespace

CompletedCommand command_tree(const CLI::App& app) {
  return command_of(app, "");
}

std::vector<const CompletedCommand*> all_of(const CompletedCommand& command) {
  std::vector<const CompletedCommand*> all = {&command};
  for (const CompletedCommand& below : command.commands) {
    const auto more = all_of(below);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

}  // namespace vhbm::cli
