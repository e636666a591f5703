#include "server.h"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace vhbm::cli {
namespace {

constexpr ServerKind servers[] = {
#define SERVER(name, word, advice) {name, word, advice},
#include "servers.def"
#undef SERVER
};

// Further words are the server's own options, and may hold anything.
constexpr std::size_t words_that_count = 4;

std::string_view file_name(std::string_view word) {
  return word.substr(word.rfind('/') + 1);
}

bool is_python(std::string_view word) {
  return file_name(word).starts_with("python");
}

// "vllm", "/usr/bin/vllm", "vllm.entrypoints.openai.api_server"
bool names(std::string_view word, std::string_view server) {
  word = file_name(word);
  return word == server || (word.starts_with(server) && word[server.size()] == '.');
}

}  // namespace

const ServerKind* recognised(const std::vector<std::string>& command) {
  const std::size_t count = std::min(command.size(), words_that_count);
  for (std::size_t i = 0; i < count; ++i) {
    for (const ServerKind& server : servers) {
      if (names(command[i], server.word)) return &server;
    }
  }
  return nullptr;
}

std::string program_name(const std::string& command) {
  std::istringstream stream(command);
  std::string first, word;
  stream >> first;
  if (!is_python(first)) return std::string(file_name(first));
  while (stream >> word) {
    if (word == "-c") break;
    if (!word.starts_with("-")) return std::string(file_name(word));
  }
  return std::string(file_name(first));
}

}  // namespace vhbm::cli
