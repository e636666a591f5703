#include "proc_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace vhbm::cli {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text{std::istreambuf_iterator<char>(file), {}};
  // Opening environ succeeds where reading it does not.
  if (file.bad()) return std::nullopt;
  return text;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, '\0');) words.push_back(std::move(word));
  return words;
}

}  // namespace

std::string ProcFolder::of(pid_t process, const char* file) const {
  return path_ + "/" + std::to_string(process) + "/" + file;
}

std::vector<pid_t> ProcFolder::processes() const {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename();
    pid_t process = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), process);
    if (wrong == std::errc() && end == name.data() + name.size()) found.push_back(process);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<uid_t> ProcFolder::owner(pid_t process) const {
  struct stat status {};
  if (stat(of(process, "").c_str(), &status) != 0) return std::nullopt;
  return status.st_uid;
}

pid_t ProcFolder::parent(pid_t process) const {
  const std::string line = content(of(process, "stat")).value_or("");
  // The name before it may itself hold parentheses.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  char state = 0;
  pid_t parent = 0;
  fields >> state >> parent;
  return parent;
}

std::string ProcFolder::command(pid_t process) const {
  std::string text;
  for (const std::string& word : words_of(content(of(process, "cmdline")).value_or(""))) {
    text += (text.empty() ? "" : " ") + word;
  }
  if (!text.empty()) return text;
  text = content(of(process, "comm")).value_or("");
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

std::string ProcFolder::executable(pid_t process) const {
  return of(process, "exe");
}

std::string ProcFolder::within(pid_t process, const std::string& path) const {
  return of(process, "root") + path;
}

std::optional<std::vector<std::string>> ProcFolder::mapped_files(pid_t process) const {
  const auto text = content(of(process, "maps"));
  if (!text) return std::nullopt;
  std::vector<std::string> files;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find('/');
    if (begin == std::string::npos) continue;
    std::string file = line.substr(begin);
    if (files.empty() || files.back() != file) files.push_back(std::move(file));
  }
  return files;
}

std::optional<std::vector<std::string>> ProcFolder::open_files(pid_t process) const {
  std::error_code error;
  fs::directory_iterator entries(of(process, "fd"), error);
  if (error) return std::nullopt;
  std::vector<std::string> files;
  for (const auto& entry : entries) {
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (!error) files.push_back(target);
  }
  return files;
}

std::optional<std::vector<std::string>> ProcFolder::environment(pid_t process) const {
  const auto text = content(of(process, "environ"));
  if (!text) return std::nullopt;
  return words_of(*text);
}

const char* value_in(const std::vector<std::string>& environment, const std::string& name) {
  for (const std::string& one : environment) {
    if (one.starts_with(name + "=")) return one.c_str() + name.size() + 1;
  }
  return nullptr;
}

}  // namespace vhbm::cli
