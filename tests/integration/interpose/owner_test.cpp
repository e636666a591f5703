// What a process under vHBM leaves open to others: nothing to any user but its own and root. As
// root, which can become both.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "runtime/exports.h"

namespace {

using namespace std::chrono_literals;
namespace filesystem = std::filesystem;

constexpr uid_t owner = 61001;
constexpr uid_t others[] = {65534, 61002};  // nobody, and somebody

// What was tried, and what came of it: "ok", or why not.
using Outcomes = std::map<std::string, std::string>;

// Of what `work` tries as that user.
Outcomes as_user(uid_t user, const std::function<Outcomes()>& work) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0) _exit(1);
    std::string told;
    for (const auto& [what, outcome] : work()) told += what + "\t" + outcome + "\n";
    _exit(write(ends[1], told.data(), told.size()) == static_cast<ssize_t>(told.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string told;
  char part[4096];
  for (ssize_t got = 0; (got = read(ends[0], part, sizeof part)) > 0;) {
    told.append(part, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "cannot become user " << user;
  Outcomes outcomes;
  std::istringstream lines(told);
  for (std::string what, outcome;
       std::getline(lines, what, '\t') && std::getline(lines, outcome);) {
    outcomes[what] = outcome;
  }
  return outcomes;
}

std::string outcome_of(bool done) {
  return done ? "ok" : std::strerror(errno);
}

std::string try_to_open(const std::string& path, int mode) {
  const int file = open(path.c_str(), mode | O_CLOEXEC);
  const std::string outcome = outcome_of(file >= 0);
  if (file >= 0) close(file);
  return outcome;
}

std::string try_to_list(const std::string& path) {
  DIR* const entries = opendir(path.c_str());
  const std::string outcome = outcome_of(entries != nullptr);
  if (entries != nullptr) closedir(entries);
  return outcome;
}

// Sends what the socket's process answers to whom it may.
std::string try_to_ask(const std::string& path, const void* request, std::size_t size,
                       const std::function<bool(const std::string& answer)>& obeys) {
  const int asking = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{5, 0};
  setsockopt(asking, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  std::string outcome = "cannot connect";
  if (connect(asking, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    (void)send(asking, request, size, MSG_NOSIGNAL);
    char answer[4096];
    const ssize_t got = recv(asking, answer, sizeof answer, 0);
    outcome = got <= 0 ? "no answer" : obeys({answer, static_cast<std::size_t>(got)}) ? "ok" : "?";
  }
  close(asking);
  return outcome;
}

class Owned : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can become two other users";
    ASSERT_TRUE(filesystem::create_directories(disk_));
    ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
    ASSERT_EQ(chown(folder_.c_str(), owner, owner), 0);
    // Whoever shares it may write there.
    ASSERT_EQ(chmod(disk_.c_str(), 01777), 0);
    start();
    ASSERT_EQ(read(from_program_, &handle_, sizeof handle_), static_cast<ssize_t>(sizeof handle_));
    files_[".control"] = state_ + "/" + std::to_string(program_) + ".control";
    // Its bytes are on the disk once it has slept for a moment.
    ASSERT_EQ(as_user(owner, [&] { return Outcomes{{"", order("sleep")}}; })[""], "ok");
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (disk_file().empty() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(5ms);
    }
    ASSERT_FALSE(disk_file().empty()) << "nothing went to the disk";
    for (const auto& entry : filesystem::directory_iterator(state_)) {
      files_[entry.path().extension()] = entry.path();
    }
  }
  void TearDown() override {
    if (program_ > 0) {
      close(to_program_);
      int status = -1;
      waitpid(program_, &status, 0);
      EXPECT_EQ(status, 0) << "its bytes are what they were";
      close(from_program_);
    }
    filesystem::remove_all(folder_);
  }

  void start() {
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
    program_ = fork();
    if (program_ == 0) {
      // Nothing but the modes it asks for protects what it makes.
      umask(0);
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      const std::map<const char*, std::string> settings = {
          {"LD_PRELOAD", PRELOAD},
          {"LD_LIBRARY_PATH", VHBM_LIB_DIR},
          {"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"},
          {"SIMGPU_HBM", "256MiB"},
          {"VHBM_HBM_LIMIT", "64MiB"},
          {"VHBM_HOST_LIMIT", "64MiB"},
          {"VHBM_STATE_DIR", state_},
          {"VHBM_DISK_PATH", disk_},
          {"VHBM_DISK_LIMIT", "64MiB"},
          {"VHBM_SPILL_AFTER", "1ms"}};
      for (const auto& [name, value] : settings) setenv(name, value.c_str(), 1);
      const std::string user = std::to_string(owner);
      execl(OWNED_PROGRAM, OWNED_PROGRAM, user.c_str(), nullptr);
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_program_ = in[1];
    from_program_ = out[0];
  }

  [[nodiscard]] std::string file(const std::string& suffix) const {
    const auto found = files_.find(suffix);
    return found == files_.end() ? "no such file" : found->second;
  }
  [[nodiscard]] std::string order(const std::string& command) const {
    const std::string request = command + "\n";
    return try_to_ask(file(".control"), request.data(), request.size(), [](const auto& answer) {
      return answer.find("\"ok\":true") != std::string::npos;
    });
  }
  // The path, in /proc, of its file on the disk, which has no name of its own.
  [[nodiscard]] std::string disk_file() const {
    for (const auto& entry :
         filesystem::directory_iterator("/proc/" + std::to_string(program_) + "/fd")) {
      struct stat status {};
      std::error_code error;
      const std::string target = filesystem::read_symlink(entry.path(), error);
      if (target.starts_with(disk_) && stat(entry.path().c_str(), &status) == 0 &&
          status.st_size > 0) {
        return entry.path();
      }
    }
    return {};
  }

  // Everything that there is to try. Waking is not: it would end what is looked at.
  [[nodiscard]] Outcomes attempts(const std::string& disk_file) const {
    Outcomes all;
    all["list the state directory"] = try_to_list(state_);
    for (const char* suffix : {".stats", ".regions"}) {
      all[std::string("read ") + suffix] = try_to_open(file(suffix), O_RDONLY);
      all[std::string("write ") + suffix] = try_to_open(file(suffix), O_RDWR);
    }
    all["read the file on the disk"] = try_to_open(disk_file, O_RDONLY);
    all["write the file on the disk"] = try_to_open(disk_file, O_RDWR);
    for (const char* command : {"status", "sleep"}) all[command] = order(command);
    vhbm::ShareRequest request;
    (void)vhbm::SharedHandle::read(handle_, &request.handle);
    all["open shared memory"] =
        try_to_ask(file(".share"), &request, sizeof request, [](const std::string& answer) {
          vhbm::ShareAnswer said;
          if (answer.size() != sizeof said) return false;
          std::memcpy(&said, answer.data(), sizeof said);
          return said.granted == 1;
        });
    return all;
  }

  // The owner can do all of it, and nobody else any of it but what is `open` now. What the sockets
  // come to refuse them with tells which of their two guards does.
  void expect_for_the_owner_alone(const std::string& sockets_refuse_with,
                                  const std::set<std::string>& open = {}) const {
    const std::string on_disk = disk_file();
    const Outcomes mine = as_user(owner, [&] { return attempts(on_disk); });
    EXPECT_EQ(mine.size(), 10u);
    for (const auto& [what, outcome] : mine) EXPECT_EQ(outcome, "ok") << what << ", as its owner";
    for (const uid_t user : others) {
      const Outcomes theirs = as_user(user, [&] { return attempts(on_disk); });
      EXPECT_EQ(theirs.size(), mine.size());
      for (const auto& [what, outcome] : theirs) {
        EXPECT_EQ(outcome == "ok", open.count(what) != 0)
            << what << ", as user " << user << ": " << outcome;
      }
      for (const char* what : {"status", "sleep", "open shared memory"}) {
        EXPECT_EQ(theirs.at(what), sockets_refuse_with) << what << ", as user " << user;
      }
    }
  }

  const std::string folder_ = "/tmp/vhbm-owner-test." + std::to_string(getpid());
  const std::string state_ = folder_ + "/state", disk_ = folder_ + "/disk";
  std::map<std::string, std::string> files_;  // in the state directory, by suffix
  pid_t program_ = 0;
  int to_program_ = -1, from_program_ = -1;
  CUipcMemHandle handle_{};
};

TEST_F(Owned, ProcessIsClosedToOtherUsers) {
  expect_for_the_owner_alone("cannot connect");
  EXPECT_TRUE(filesystem::is_empty(disk_)) << "what is on the disk has no name";
}

TEST_F(Owned, FilesAndSocketsAreClosedWhereTheDirectoryIsOpen) {
  ASSERT_EQ(chmod(state_.c_str(), 0777), 0);
  expect_for_the_owner_alone("cannot connect", {"list the state directory"});
}

TEST_F(Owned, PeersAreAskedWhoTheyAreWhereSocketsAreOpen) {
  ASSERT_EQ(chmod(state_.c_str(), 0777), 0);
  for (const char* suffix : {".control", ".share"}) {
    ASSERT_EQ(chmod(file(suffix).c_str(), 0777), 0);
  }
  expect_for_the_owner_alone("no answer", {"list the state directory"});
}

}  // namespace
