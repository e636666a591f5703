// Only what the child wrote to its pipe comes back; what a driver prints is dropped.
#include "child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace vhbm::cli {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void be_the_child(int (*work)(std::FILE* out, int argument), int argument, int pipe) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int nowhere = open("/dev/null", O_RDWR);
  for (int one : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, one);
  std::FILE* out = fdopen(pipe, "w");
  setvbuf(out, nullptr, _IOLBF, 0);
  const int code = work(out, argument);
  std::fflush(out);
  _exit(code);
}

// False when time ran out before the child closed its end.
bool read_until(int pipe, Clock::time_point deadline, std::string& output) {
  std::array<char, 4096> part{};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd wait{pipe, POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t got = read(pipe, part.data(), part.size());
    if (got <= 0) return true;
    output.append(part.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

std::string ChildOutcome::trouble() const {
  switch (end) {
    case End::exited:
      return code == 0 ? "" : "ended with exit code " + std::to_string(code);
    case End::crashed:
      return std::string("crashed: ") + strsignal(code);
    case End::hung:
      return "hangs";
    case End::not_started:
      break;
  }
  return std::string("no process for it: ") + std::strerror(code);
}

ChildOutcome run_in_child(int (*work)(std::FILE* out, int argument), int argument,
                          std::chrono::milliseconds limit) {
  ChildOutcome outcome;
  int ends[2];
  std::fflush(nullptr);
  if (pipe2(ends, O_CLOEXEC) != 0) {
    outcome.code = errno;
    return outcome;
  }
  const pid_t child = fork();
  if (child == 0) be_the_child(work, argument, ends[1]);
  close(ends[1]);
  if (child < 0) {
    outcome.code = errno;
    close(ends[0]);
    return outcome;
  }
  const bool in_time = read_until(ends[0], Clock::now() + limit, outcome.output);
  close(ends[0]);
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    outcome.end = ChildOutcome::End::hung;
  } else if (WIFSIGNALED(status)) {
    outcome.end = ChildOutcome::End::crashed;
    outcome.code = WTERMSIG(status);
  } else {
    outcome.end = ChildOutcome::End::exited;
    outcome.code = WEXITSTATUS(status);
  }
  return outcome;
}

}  // namespace vhbm::cli
