// The socket of a process that shares memory: who may use it, and what is left of it.
#include "runtime/share_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "runtime/exports.h"

namespace vhbm {
namespace {

constexpr std::chrono::milliseconds soon{300};

class SharingSocket : public ::testing::Test {
 protected:
  // Longer than a socket's path may be.
  SharingSocket()
      : root_(::testing::TempDir() + "share." + std::to_string(getpid())),
        directory_(root_ + "/" + std::string(120, 'd')) {
    std::filesystem::create_directories(directory_);
    std::filesystem::permissions(root_, std::filesystem::perms(0711));
    std::filesystem::permissions(directory_, std::filesystem::perms(0711));
  }
  ~SharingSocket() override { std::filesystem::remove_all(root_); }

  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(directory_), {}));
  }

  const std::string root_, directory_;
};

TEST_F(SharingSocket, ListensAtOnceWhereAStoppedProcessHoldsTheDirectorysLock) {
  const int stopped = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(flock(stopped, LOCK_EX), 0);
  const auto begin = std::chrono::steady_clock::now();
  const auto listening = ShareSocket::listen(directory_, "a.share");
  EXPECT_TRUE(listening.ok()) << listening.status().message();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, soon);
  EXPECT_TRUE(ShareSocket::connect(directory_, "a.share", soon).ok());
  EXPECT_EQ(files(), 1u);
  close(stopped);
}

TEST_F(SharingSocket, OfALiveProcessIsNobodyElses) {
  const auto listening = ShareSocket::listen(directory_, "a.share");
  ASSERT_TRUE(listening.ok()) << listening.status().message();
  EXPECT_FALSE(ShareSocket::listen(directory_, "a.share").ok());
  EXPECT_EQ(files(), 1u);
  EXPECT_TRUE(ShareSocket::connect(directory_, "a.share", soon).ok());
}

TEST_F(SharingSocket, GivesTheOtherEndAnOpenFile) {
  auto listening = ShareSocket::listen(directory_, "a.share");
  ASSERT_TRUE(listening.ok()) << listening.status().message();
  struct stat status {};
  ASSERT_EQ(stat((directory_ + "/a.share").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  const auto client = ShareSocket::connect(directory_, "a.share", soon);
  ASSERT_TRUE(client.ok()) << client.status().message();
  const ShareSocket server = listening->accept(soon);
  ASSERT_TRUE(server.is_open());
  int sent[2] = {-1, -1};
  ASSERT_EQ(pipe2(sent, O_CLOEXEC), 0);
  const std::uint64_t word = 42;
  ASSERT_TRUE(server.send(&word, sizeof word, sent[1]));
  std::uint64_t received = 0;
  int file = -1;
  ASSERT_TRUE(client->receive(&received, sizeof received, &file));
  EXPECT_EQ(received, word);
  ASSERT_GE(file, 0);
  EXPECT_EQ(write(file, "x", 1), 1);
  char back = 0;
  EXPECT_EQ(read(sent[0], &back, 1), 1);
  EXPECT_EQ(back, 'x');
  for (const int open : {sent[0], sent[1], file}) close(open);
}

TEST_F(SharingSocket, WaitsForNobodyLongerThanItWasTold) {
  auto listening = ShareSocket::listen(directory_, "a.share");
  ASSERT_TRUE(listening.ok());
  const auto client = ShareSocket::connect(directory_, "a.share", soon);
  ASSERT_TRUE(client.ok());
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t word = 0;
  EXPECT_FALSE(client->receive(&word, sizeof word)) << "nobody says anything";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10 * soon);
  listening->close();
  EXPECT_FALSE(ShareSocket::connect(directory_, "a.share", soon).ok()) << "nobody listens";
  EXPECT_FALSE(ShareSocket::connect(directory_, "b.share", soon).ok()) << "there is none";
}

TEST_F(SharingSocket, OfADeadProcessIsRemovedAndOfALivingOneIsNot) {
  { auto dead = ShareSocket::listen(directory_, "dead.share"); }
  auto living = ShareSocket::listen(directory_, "living.share");
  ASSERT_TRUE(living.ok());
  EXPECT_EQ(files(), 1u) << "listening removes what is dead";
  { auto dead = ShareSocket::listen(directory_, "dead.share"); }
  EXPECT_EQ(files(), 2u);
  remove_dead_sockets(directory_);
  EXPECT_EQ(files(), 1u);
  EXPECT_TRUE(ShareSocket::connect(directory_, "living.share", soon).ok());
}

// What a process of another user makes of the socket: 0 when it connects and the other end talks.
int exit_code_as_nobody(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    _exit(setresuid(nobody, nobody, nobody) != 0 ? 99 : work());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST_F(SharingSocket, IsForProcessesOfOneUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  auto listening = ShareSocket::listen(directory_, "a.share");
  ASSERT_TRUE(listening.ok());
  const auto try_to_connect = [&] {
    return ShareSocket::connect(directory_, "a.share", soon).ok() ? 0 : 1;
  };
  EXPECT_EQ(exit_code_as_nobody(try_to_connect), 1);
  // Where the folder lets others in, each end looks who the other one is.
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(chmod((directory_ + "/a.share").c_str(), 0666), 0);
  EXPECT_EQ(exit_code_as_nobody(try_to_connect), 1);
  EXPECT_FALSE(listening->accept(soon).is_open());
}

class Exporting : public SharingSocket {
 protected:
  // Of a region that lives as long as `lives_`, by a file that anybody can open.
  Exports exports_{directory_,
                   [this](RegionId, DeviceAddress) -> Result<Exports::Granted> {
                     if (!lives_) return Status(Errc::invalid_value, "freed");
                     return Exports::Granted{open("/dev/null", O_RDWR), mib(7), mib(8)};
                   },
                   [this](RegionId, DeviceAddress) { return lives_.load(); }};
  std::atomic<bool> lives_{true};

  bool is_granted(const SharedHandle& handle) {
    const auto client = ShareSocket::connect(directory_, share_name(handle.process), soon);
    ShareAnswer answer;
    int file = -1;
    if (!client.ok() || !client->send(&handle, sizeof handle) ||
        !client->receive(&answer, sizeof answer, &file)) {
      return false;
    }
    EXPECT_EQ(answer.granted == 1, file >= 0);
    if (file >= 0) close(file);
    return answer.granted == 1;
  }
};

TEST_F(Exporting, GrantsWhatItsTokenNamesAsLongAsThatLives) {
  const RegionView region{{5}, {0x1000}, mib(7), 0, nullptr};
  const auto handle = exports_.share(region);
  ASSERT_TRUE(handle.ok()) << handle.status().message();
  EXPECT_EQ(*exports_.share(region), *handle) << "the same each time";
  EXPECT_TRUE(exports_.made(*handle));
  EXPECT_TRUE(is_granted(*handle));
  SharedHandle wrong = *handle;
  wrong.token[1] ^= 1;
  EXPECT_FALSE(is_granted(wrong));
  lives_ = false;
  EXPECT_FALSE(is_granted(*handle));
}

TEST_F(Exporting, IsNotHeldUpByOneThatConnectsAndSaysNothing) {
  const auto handle = exports_.share({{5}, {0x1000}, mib(7), 0, nullptr});
  ASSERT_TRUE(handle.ok());
  const auto silent = ShareSocket::connect(directory_, share_name(handle->process), soon);
  ASSERT_TRUE(silent.ok());
  bool granted = false;
  for (int i = 0; i < 10 && !granted; ++i) granted = is_granted(*handle);
  EXPECT_TRUE(granted);
}

TEST_F(Exporting, LeavesNothingBehindAndGrantsNothingMore) {
  const auto handle = exports_.share({{5}, {0x1000}, mib(7), 0, nullptr});
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(files(), 1u);
  exports_.stop();
  EXPECT_TRUE(exports_.ended());
  EXPECT_EQ(files(), 0u);
  EXPECT_FALSE(exports_.share({{6}, {0x1000}, mib(7), 0, nullptr}).ok());
}

TEST_F(Exporting, ForgetsWhatWasFreed) {
  lives_ = false;
  const auto first = exports_.share({{1}, {0x1000}, mib(7), 0, nullptr});
  ASSERT_TRUE(first.ok());
  for (std::uint64_t id = 2; id < 200; ++id) {
    ASSERT_TRUE(exports_.share({{id}, {0x1000}, mib(7), 0, nullptr}).ok());
  }
  // Forgotten, and so given a new token.
  EXPECT_NE(*exports_.share({{1}, {0x1000}, mib(7), 0, nullptr}), *first);
}

TEST_F(Exporting, IsTheParentsInAForkedChild) {
  const auto handle = exports_.share({{5}, {0x1000}, mib(7), 0, nullptr});
  ASSERT_TRUE(handle.ok());
  const pid_t child = fork();
  if (child == 0) {
    exports_.stop();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(is_granted(*handle));
}

}  // namespace
}  // namespace vhbm
