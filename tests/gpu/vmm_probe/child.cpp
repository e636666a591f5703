// The child sends everything it has found so far, as one line of JSON, each time it finds
// something; the parent keeps the last whole line.
#include "child.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace vmm_probe {
namespace {

void send_line(int pipe, const Json& message) {
  std::string line = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = write(pipe, line.data() + sent, line.size() - sent);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
}

[[noreturn]] void run_child(const SubTest& test, const Settings& settings, int pipe) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Json message = {{"status", "crashed"}, {"reason", ""}};
  try {
    Probe probe(settings, [&](const Json& findings, const std::string& headline) {
      message["findings"] = findings;
      message["headline"] = headline;
      send_line(pipe, message);
    });
    test.run(probe);
    message["status"] = "ok";
  } catch (const Skipped& skipped) {
    message["status"] = "skipped";
    message["reason"] = skipped.what();
  } catch (const NoGpu& no_gpu) {
    message["status"] = "failed";
    message["reason"] = no_gpu.what();
    message["no_gpu"] = true;
  } catch (const std::exception& error) {
    message["status"] = "failed";
    message["reason"] = error.what();
  }
  send_line(pipe, message);
  _exit(0);  // without the driver's own clean-up, which a lost context can make wait
}

// Ends the child and waits for it, though not for ever: one stuck in the kernel is left behind.
bool kill_and_reap(pid_t child, int* status) {
  kill(child, SIGKILL);
  for (int i = 0; i < 200; ++i) {
    if (waitpid(child, status, WNOHANG) == child) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

}  // namespace

Outcome run_in_child(const SubTest& test, const Settings& settings) {
  Outcome outcome;
  int ends[2];
  if (pipe(ends) != 0) {
    outcome.status = "failed";
    outcome.reason = std::string("pipe: ") + std::strerror(errno);
    return outcome;
  }
  const Clock::time_point start = Clock::now();
  const pid_t child = fork();
  if (child < 0) {
    outcome.status = "failed";
    outcome.reason = std::string("fork: ") + std::strerror(errno);
    close(ends[0]);
    close(ends[1]);
    return outcome;
  }
  if (child == 0) {
    close(ends[0]);
    run_child(test, settings, ends[1]);
  }
  close(ends[1]);

  std::string received, last_line;
  bool timed_out = false;
  for (;;) {
    const double left = settings.seconds_per_test - seconds_since(start);
    timed_out = left <= 0;
    if (timed_out) break;
    pollfd waiting{ends[0], POLLIN, 0};
    if (poll(&waiting, 1, static_cast<int>(left * 1000) + 1) <= 0) continue;
    char buffer[65536];
    const ssize_t n = read(ends[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // the child ended
    received.append(buffer, static_cast<std::size_t>(n));
    if (const std::size_t end = received.rfind('\n'); end != std::string::npos) {
      const std::size_t begin = end == 0 ? std::string::npos : received.rfind('\n', end - 1);
      last_line = received.substr(begin == std::string::npos ? 0 : begin + 1,
                                  end - (begin == std::string::npos ? 0 : begin + 1));
      received.erase(0, end + 1);
    }
  }
  close(ends[0]);
  int status = 0;
  const bool reaped =
      timed_out ? kill_and_reap(child, &status) : waitpid(child, &status, 0) == child;
  outcome.seconds = seconds_since(start);

  const Json message = Json::parse(last_line, nullptr, false);
  if (message.is_object()) {
    outcome.status = message.value("status", "crashed");
    outcome.reason = message.value("reason", "");
    outcome.headline = message.value("headline", "");
    outcome.findings = message.value("findings", Json::object());
    outcome.no_gpu = message.value("no_gpu", false);
  } else {
    outcome.status = "crashed";
  }
  if (timed_out) {
    outcome.status = "timed_out";
    outcome.reason = "stopped after " + fixed(settings.seconds_per_test, 0) + " s";
    if (!reaped) outcome.reason += "; its process could not be ended";
  } else if (WIFSIGNALED(status)) {
    outcome.status = "crashed";
    outcome.reason =
        "signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
  } else if (outcome.status == "crashed") {
    outcome.reason =
        "ended with exit code " + std::to_string(WEXITSTATUS(status)) + " before it had a result";
  }
  return outcome;
}

}  // namespace vmm_probe
