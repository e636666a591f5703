// The control socket: answers come in order, and no client harms another.
#include "runtime/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

namespace vhbm {
namespace {

using namespace std::chrono_literals;

class TakingOrders : public ::testing::Test {
 protected:
  TakingOrders() : directory_(::testing::TempDir() + "control." + std::to_string(getpid())) {
    Status started = control_.start(directory_, [this](const std::string& request) {
      return [this, request]() -> std::optional<std::string> {
        if (request == "wait" && !go_) return std::nullopt;
        if (request == "long") return std::string(1 << 20, 'x');
        return "got " + request;
      };
    });
    EXPECT_TRUE(started.ok()) << started.message();
  }
  ~TakingOrders() override {
    control_.stop();
    std::filesystem::remove_all(directory_);
  }

  ShareSocket connect() {
    auto made = ShareSocket::connect(directory_, std::to_string(getpid()) + ".control", 5s);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? std::move(*made) : ShareSocket();
  }
  static bool send(const ShareSocket& socket, const std::string& text) {
    return socket.send(text.data(), text.size());
  }
  // Up to the line's end, or to that of the connection.
  static std::string receive(const ShareSocket& socket) {
    std::string line;
    for (char byte = 0; socket.receive(&byte, 1) && byte != '\n';) line += byte;
    return line;
  }
  std::string ask(const std::string& request) {
    const ShareSocket socket = connect();
    return send(socket, request + "\n") ? receive(socket) : "";
  }

  const std::string directory_;
  std::atomic<bool> go_{false};
  ControlSocket control_;
};

TEST_F(TakingOrders, IsForItsUserOnly) {
  struct stat status {};
  ASSERT_EQ(stat((directory_ + "/" + std::to_string(getpid()) + ".control").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  if (geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  std::filesystem::permissions(directory_, std::filesystem::perms(0777));
  std::filesystem::permissions(directory_ + "/" + std::to_string(getpid()) + ".control",
                               std::filesystem::perms(0777));
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(3);
    // Its own check aside: what does the other end say?
    const int other = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ + "/" + std::to_string(getppid()) + ".control";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(other, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) _exit(4);
    char byte = 0;
    if (::send(other, "hello\n", 6, MSG_NOSIGNAL) < 0) _exit(0);
    _exit(read(other, &byte, 1) > 0 ? 1 : 0);
  }
  int ended = 0;
  ASSERT_EQ(waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
}

TEST_F(TakingOrders, AnswersEachLine) {
  const ShareSocket socket = connect();
  ASSERT_TRUE(send(socket, "one\ntwo\nthr"));
  EXPECT_EQ(receive(socket), "got one");
  EXPECT_EQ(receive(socket), "got two");
  ASSERT_TRUE(send(socket, "ee\n"));
  EXPECT_EQ(receive(socket), "got three");
}

TEST_F(TakingOrders, ServesOthersWhileOneWaitsForItsAnswer) {
  const ShareSocket waiting = connect(), half = connect(), deaf = connect();
  ASSERT_TRUE(send(waiting, "wait\n"));
  ASSERT_TRUE(send(half, "hal"));
  ASSERT_TRUE(send(deaf, "long\nlong\n"));
  EXPECT_EQ(ask("hello"), "got hello");
  go_ = true;
  EXPECT_EQ(receive(waiting), "got wait");
}

TEST_F(TakingOrders, RefusesWhatIsTooLong) {
  const ShareSocket socket = connect();
  ASSERT_TRUE(send(socket, std::string(ControlSocket::longest_request + 1, 'x')));
  EXPECT_EQ(receive(socket), R"({"ok":false,"error":"a request has at most 4096 characters"})");
  EXPECT_EQ(receive(socket), "");
  EXPECT_EQ(ask("hello"), "got hello");
}

TEST_F(TakingOrders, HundredsOfSilentClientsShutNobodyOut) {
  std::vector<ShareSocket> crowd;
  for (int i = 0; i < 300; ++i) crowd.push_back(connect());
  EXPECT_EQ(ask("hello"), "got hello");
}

TEST_F(TakingOrders, LeavesNoSocketBehind) {
  control_.stop();
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(TakingOrders, RemovesTheSocketsOfTheDead) {
  const pid_t child = fork();
  if (child == 0) {
    const auto left = ShareSocket::listen(directory_, "1.control");
    _exit(left.ok() ? 0 : 1);
  }
  int ended = 0;
  ASSERT_EQ(waitpid(child, &ended, 0), child);
  ASSERT_EQ(ended, 0);
  ASSERT_TRUE(std::filesystem::exists(directory_ + "/1.control"));
  remove_dead_sockets(directory_);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/1.control"));
  EXPECT_EQ(ask("hello"), "got hello");
}

}  // namespace
}  // namespace vhbm
