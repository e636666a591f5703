#include "steering.h"

#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "exit_code.h"
#include "quantity.h"
#include "runtime/share_socket.h"
#include "runtime/shared_file.h"
#include "runtime/stats_reader.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds socket_patience{2};
constexpr std::size_t longest_answer = 1 << 20;

bool runs(const std::string& command, const std::string& name) {
  for (std::size_t begin = 0; begin < command.size();) {
    const std::size_t end = std::min(command.find(' ', begin), command.size());
    const std::string word = command.substr(begin, end - begin);
    if (word.substr(word.rfind('/') + 1) == name) return true;
    begin = end + 1;
  }
  return false;
}

// Up to the line's end; nullopt when it does not come in time.
std::optional<std::string> receive_line(const ShareSocket& socket, Clock::time_point deadline) {
  std::string line;
  while (line.size() < longest_answer) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd readable{socket.descriptor(), POLLIN, 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) <= 0) break;
    char byte = 0;
    if (!socket.receive(&byte, 1)) break;
    if (byte == '\n') return line;
    line += byte;
  }
  return std::nullopt;
}

std::string words_of_answer(pid_t process, const Answer& answer, const char* done) {
  const std::string who = "process " + std::to_string(process);
  return answer.exit_code == exit_ok ? who + " " + done : who + ": " + answer.why;
}

}  // namespace

void add_process(CLI::App& command, std::string& text) {
  const auto possible = [](const std::string& given) -> std::string {
    const bool none = given.find_first_not_of('0') == std::string::npos;
    return none ? "there is no process " + given : std::string();
  };
  command.add_option("process", text, "its id, or the name of its program")
      ->required()
      ->check(possible)
      ->type_name("PID|NAME");
}

std::optional<pid_t> find_process(const std::string& text) {
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) {
    return static_cast<pid_t>(std::strtol(text.c_str(), nullptr, 10));
  }
  const auto directory = shared_directory(std::nullopt);
  if (!directory) return std::nullopt;
  std::set<pid_t> found;
  for (const StatsSnapshot& one : read_live_stats(*directory)) {
    if (runs(one.command, text)) found.insert(one.pid);
  }
  if (found.size() == 1) return *found.begin();
  if (found.empty()) {
    std::fprintf(stderr, "vhbm: no process under vHBM runs %s (looked in %s)\n", text.c_str(),
                 directory->c_str());
    return std::nullopt;
  }
  std::string ids;
  for (const pid_t one : found) ids += " " + std::to_string(one);
  std::fprintf(stderr, "vhbm: several processes run %s: name one of%s\n", text.c_str(),
               ids.c_str());
  return std::nullopt;
}

Answer ask(pid_t process, const Order& order, std::chrono::milliseconds patience) {
  const auto directory = shared_directory(process);
  if (!directory) return {exit_usage, {}, "the options in the environment are not accepted"};
  const auto sockets = shared_files_of(*directory, control_suffix, process);
  std::string why = "it does not run under vHBM, or has not used a GPU yet";
  for (const std::string& path : sockets) {
    const std::string name = std::filesystem::path(path).filename();
    const auto socket = ShareSocket::connect(*directory, name, socket_patience);
    if (!socket.ok()) {
      why = socket.status().message();
      continue;
    }
    const std::string line = order.dump() + "\n";
    if (!socket->send(line.data(), line.size())) return {exit_no_answer, {}, "it does not listen"};
    const auto answer = receive_line(*socket, Clock::now() + patience);
    if (!answer) return {exit_no_answer, {}, "it does not answer in time"};
    Order reply = Order::parse(*answer, nullptr, false);
    if (!reply.is_object()) return {exit_no_answer, {}, "its answer makes no sense: " + *answer};
    if (reply.value("ok", false)) return {exit_ok, std::move(reply), {}};
    std::string reason = reply.value("error", std::string("it refuses"));
    return {exit_order_refused, std::move(reply), std::move(reason)};
  }
  return {exit_no_process, {}, why};
}

void steer(CLI::App& command, int& exit_code, Steering steering) {
  const auto process = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  add_process(command, *process);
  command.add_flag("--json", *json, "the process's answer as one line of JSON");
  command.callback([process, json, &exit_code, steering = std::move(steering)] {
    const auto found = find_process(*process);
    if (!found) {
      exit_code = exit_no_process;
      return;
    }
    const Answer answer = ask(*found, steering.order(), steering.patience);
    if (answer.exit_code == exit_no_process) {
      exit_code = tell_no_process(*found, *shared_directory(*found));
      return;
    }
    exit_code = answer.exit_code;
    if (*json && answer.reply.is_object()) {
      std::printf("%s\n", answer.reply.dump().c_str());
    } else if (answer.exit_code != exit_ok) {
      std::fprintf(stderr, "vhbm: process %d: %s\n", static_cast<int>(*found), answer.why.c_str());
    } else {
      std::printf("process %d %s\n", static_cast<int>(*found),
                  steering.tell(*found, answer.reply).c_str());
    }
  });
}

std::string put_to_sleep(pid_t process) {
  return words_of_answer(process, ask(process, {{"command", "sleep"}}, std::chrono::seconds(60)),
                         "is asleep");
}
std::string wake_up(pid_t process) {
  return words_of_answer(process, ask(process, {{"command", "wake"}}, std::chrono::seconds(60)),
                         "is awake");
}

}  // namespace vhbm::cli
