#include "sharing_peer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern char** environ;

namespace {

constexpr int peer_channel = 9;  // in the peer

template <typename T>
bool receive_all(int channel, T* out) {
  return recv(channel, out, sizeof *out, MSG_WAITALL) == static_cast<ssize_t>(sizeof *out);
}

}  // namespace

Peer::Peer(Preload preload) {
  int channels[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channels), 0);
  channel_ = channels[0];
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, channels[1], peer_channel);
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const bool preloads = std::strncmp(*variable, "LD_PRELOAD=", 11) == 0;
    if (!preloads || preload == Preload::yes) environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=SharingPeer.*",
              run = "--gtest_also_run_disabled_tests", brief = "--gtest_brief=1";
  char* arguments[] = {program.data(), filter.data(), run.data(), brief.data(), nullptr};
  EXPECT_EQ(
      posix_spawn(&process_, "/proc/self/exe", &files, nullptr, arguments, environment.data()), 0);
  posix_spawn_file_actions_destroy(&files);
  ::close(channels[1]);
}

Message Peer::ask(const Message& order) {
  Message answer;
  answer.result = CUDA_ERROR_UNKNOWN;
  if (send(channel_, &order, sizeof order, MSG_NOSIGNAL) != sizeof order) return answer;
  if (!receive_all(channel_, &answer)) answer.result = CUDA_ERROR_UNKNOWN;
  return answer;
}

void Peer::kill() {
  ::kill(process_, SIGKILL);
  (void)end();
}

bool Peer::end() {
  if (process_ == 0) return true;
  ::close(channel_);
  int status = 0;
  const bool waited = waitpid(process_, &status, 0) == process_;
  process_ = 0;
  return waited && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool Peer::receive(Message* order) {
  return receive_all(peer_channel, order);
}

void Peer::answer(const Message& answer) {
  EXPECT_EQ(send(peer_channel, &answer, sizeof answer, MSG_NOSIGNAL),
            static_cast<ssize_t>(sizeof answer));
}
