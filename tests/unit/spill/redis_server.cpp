#include "tests/unit/spill/redis_server.h"

#include <fcntl.h>
#include <sys/prctl.h>

namespace vhbm {
namespace {

// Either program, found on PATH; empty where there is none.
const std::string& program() {
  static const std::string found = [] {
    for (const char* name : {"valkey-server", "redis-server"}) {
      if (std::system((std::string("command -v ") + name + " >/dev/null 2>&1").c_str()) == 0)
        return std::string(name);
    }
    return std::string();
  }();
  return found;
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  start();
}

bool RedisServer::is_installed() {
  return !program().empty();
}

void RedisServer::start() {
  std::vector<std::string> words = {
      program(), "--port", "0",     "--unixsocket", folder_.path() + "/socket",
      "--save",  "",       "--dir", folder_.path()};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  child_ = fork();
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    unsetenv("LD_LIBRARY_PATH");
    execvp(argv[0], argv.data());
    _exit(127);
  }
  ASSERT_TRUE(comes_true([&] { return RedisConnection::open(settings()).ok(); }))
      << program() << " does not start";
}

void RedisServer::kill() {
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = 0;
}

RemoteSettings RedisServer::settings() const {
  RemoteSettings settings;
  settings.address.socket = folder_.path() + "/socket";
  return settings;
}

Result<Reply> RedisServer::ask(std::vector<std::string_view> words) const {
  auto connection = RedisConnection::open(settings());
  if (!connection.ok()) return connection.status();
  return (*connection)->ask(words);
}

long long RedisServer::key_count() const {
  const auto reply = ask({"DBSIZE"});
  return reply.ok() ? (*reply)->integer : -1;
}

std::string RedisServer::some_key() const {
  const auto reply = ask({"RANDOMKEY"});
  return reply.ok() && (*reply)->str != nullptr ? (*reply)->str : "";
}

}  // namespace vhbm
