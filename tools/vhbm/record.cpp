// `vhbm record`: has a process record what it uses and moves, from now on by an order over its
// control socket, or from its start by an option in its environment.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "quantity.h"
#include "replay/recorded.h"
#include "replay/timeline.h"
#include "runtime/options.h"
#include "steering.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm record 4711 -o server.vhbm --seconds 30     process 4711, from now on, for half a minute
  vhbm record server.py -o server.vhbm             until Ctrl-C, or until the process ends
  vhbm record -o run.vhbm -- python server.py      a program from its start, under vHBM
  vhbm record 4711 -o server.vhbm --timeline server.json
                                                   and a trace for https://ui.perfetto.dev
  vhbm record 4711 -o server.vhbm --timeline server.json --kernels
                                                   with the kernels in it
  vhbm replay server.vhbm                          what to do with it: docs/replay.md

The process itself writes the file, for its own user only. It holds which regions there were and
when work used them, no byte of theirs. Where several processes of a program use a GPU, the first
has FILE, and the others FILE.<pid>.

Exit code: 0 when it was recorded; 1 when there is no such process, or it does not run under vHBM; 2
when the process refuses, and says why; 3 when it does not answer; 64 when the command line is not
accepted; 70 when the timeline cannot be written. Of a program that was started: its own.)";

constexpr timespec look_interval{0, 250'000'000};
constexpr std::chrono::seconds patience{10};
// What a killed process takes to be gone, with all the memory it had.
constexpr std::chrono::seconds longest_end{5};

struct Request {
  std::vector<std::string> words;  // PID|NAME, or after -- a command
  std::string file, timeline, limit = "1GiB";
  std::optional<double> seconds;
  std::optional<int> device;
  bool force = false, json = false, kernels = false;
};

int refuse(const std::string& why) {
  std::fprintf(stderr, "vhbm: %s\n", why.c_str());
  return exit_usage;
}

sigset_t signals_that_end() {
  sigset_t set;
  sigemptyset(&set);
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, one);
  return set;
}

std::string told(const Order& progress) {
  const auto number = [&](const char* key) { return progress.value(key, std::uint64_t{0}); };
  std::string text = duration_text(number("length_ns")) + ", " + bytes_text(number("written")) +
                     ", " + std::to_string(number("uses")) + " uses";
  if (progress.contains("kernels")) text += ", " + std::to_string(number("kernels")) + " kernels";
  if (number("kernels_lost") != 0) {
    text += " and " + std::to_string(number("kernels_lost")) + " more that could not be told";
  }
  if (number("left_out") != 0) {
    text += "; " + std::to_string(number("left_out")) + " records were left out, since the file " +
            "could not be written as fast";
  }
  return text;
}

// The timeline of what was recorded; the exit code.
int show_timeline(const Request& request) {
  if (request.timeline.empty()) return exit_ok;
  const auto recorded = replay::read_recorded(request.file);
  const Status status =
      recorded.ok() ? replay::write_timeline(*recorded, request.timeline) : recorded.status();
  if (status.ok()) return exit_ok;
  std::fprintf(stderr, "vhbm: %s\n", status.message().c_str());
  return exit_failed;
}

class Recording {
 public:
  Recording(const Request& request, pid_t process) : request_(request), process_(process) {}

  int run(Bytes limit) {
    Order order{{"command", "record"},
                {"file", request_.file},
                {"limit", limit.value},
                {"replace", request_.force},
                {"kernels", request_.kernels}};
    if (request_.seconds) {
      order["length_ms"] = static_cast<std::uint64_t>(*request_.seconds * 1000);
    }
    add_device(order);
    // Blocked before it begins, so that whoever ends this ends the recording as well.
    const sigset_t ends = signals_that_end();
    sigprocmask(SIG_BLOCK, &ends, nullptr);
    Answer answer = ask(process_, order, patience);
    if (answer.exit_code == exit_no_process) {
      return tell_no_process(process_, *shared_directory(process_));
    }
    if (answer.exit_code != exit_ok) return fail(answer);
    Order last = answer.reply;
    std::string no_kernels = tell_missing_kernels(last, "");
    while (last.value("on", false)) {
      show(last);
      const bool ended = sigtimedwait(&ends, nullptr, &look_interval) > 0;
      answer = ask_about(ended);
      if (answer.exit_code == exit_no_answer) answer = ask_again(ended);
      if (answer.exit_code == exit_no_process) break;
      if (answer.exit_code != exit_ok) return fail(answer);
      last = answer.reply;
      no_kernels = tell_missing_kernels(last, no_kernels);
    }
    clear();
    return finish(last, answer.exit_code == exit_no_process);
  }

 private:
  void add_device(Order& order) const {
    if (request_.device) order["device"] = *request_.device;
  }
  Answer ask_about(bool end) const {
    Order order{{"command", "recording"}, {"end", end}};
    add_device(order);
    return ask(process_, order, patience);
  }
  // It may have ended between the question and the answer; while it ends, it can be asked and
  // answers nothing.
  [[nodiscard]] Answer ask_again(bool end) const {
    const auto until = std::chrono::steady_clock::now() + longest_end;
    for (;;) {
      Answer answer = ask_about(end);
      if (answer.exit_code != exit_no_answer || std::chrono::steady_clock::now() >= until) {
        return answer;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  int fail(const Answer& answer) const {
    clear();
    std::fprintf(stderr, "vhbm: process %d: %s\n", static_cast<int>(process_), answer.why.c_str());
    return answer.exit_code;
  }
  [[nodiscard]] bool shows() const { return isatty(STDERR_FILENO) == 1; }
  void show(const Order& progress) const {
    if (!shows()) return;
    std::fprintf(stderr, "\rrecording process %d: %s (Ctrl-C ends it)\033[K",
                 static_cast<int>(process_), told(progress).c_str());
  }
  // Why there are none, or no more, unless that was told.
  [[nodiscard]] std::string tell_missing_kernels(const Order& reply,
                                                 const std::string& told) const {
    std::string why = reply.value("no_kernels", std::string());
    if (why == told) return why;
    clear();
    std::fprintf(stderr, "vhbm: process %d: no kernel times: %s\n", static_cast<int>(process_),
                 why.c_str());
    return why;
  }
  void clear() const {
    if (shows()) std::fputs("\r\033[K", stderr);
  }
  int finish(Order last, bool process_ended) const {
    if (process_ended) last["ended"] = "the process ended";
    const std::string why = last.value("ended", std::string());
    if (request_.json) {
      std::printf("%s\n", last.dump().c_str());
    } else {
      std::printf("process %d was recorded into %s: %s (%s)\n", static_cast<int>(process_),
                  request_.file.c_str(), told(last).c_str(), why.c_str());
    }
    return show_timeline(request_);
  }

  const Request& request_;
  const pid_t process_;
};

// Until the child has ended. What the terminal sends reaches it anyway; what a process sends is
// handed on.
int stand_in_for(pid_t child) {
  sigset_t set = signals_that_end();
  sigaddset(&set, SIGCHLD);
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return status;
    siginfo_t info{};
    const int taken = sigtimedwait(&set, &info, &look_interval);
    if (taken > 0 && taken != SIGCHLD && info.si_code <= 0) kill(child, taken);
  }
}

// The traces that the program's processes wrote: FILE, and FILE.<pid>.
std::vector<std::filesystem::path> traces_of(const std::string& file,
                                             std::filesystem::file_time_type since) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  const std::filesystem::path path(file);
  const std::string others = path.filename().string() + ".";
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), error)) {
    const std::string name = entry.path().filename();
    const bool other = name.starts_with(others) &&
                       name.find_first_not_of("0123456789", others.size()) == std::string::npos;
    const bool new_one = entry.last_write_time(error) >= since;
    if (new_one && (entry.path() == path || (other && name.size() > others.size()))) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

int run_recorded(const Request& request) {
  const auto begin = std::filesystem::file_time_type::clock::now();
  if (std::error_code error; !std::filesystem::remove(request.file, error) && error) {
    return refuse(request.file + " cannot be overwritten: " + error.message());
  }
  setenv("VHBM_RECORD", request.file.c_str(), 1);
  setenv("VHBM_RECORD_LIMIT", request.limit.c_str(), 1);
  if (request.kernels) setenv("VHBM_RECORD_KERNELS", "true", 1);
  sigset_t set = signals_that_end(), before;
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, &before);
  const pid_t child = fork();
  if (child < 0) {
    std::fprintf(stderr, "vhbm: cannot start a process: %s\n", std::strerror(errno));
    return exit_failed;
  }
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, nullptr);
    std::vector<char*> arguments;
    for (const char* word : {"vhbm", "run", "--"}) arguments.push_back(const_cast<char*>(word));
    for (const std::string& word : request.words) {
      arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    execv("/proc/self/exe", arguments.data());
    _exit(exit_failed);
  }
  const int status = stand_in_for(child);
  const auto traces = traces_of(request.file, begin);
  if (traces.empty()) {
    std::fprintf(stderr, "vhbm: nothing was recorded: the program used no GPU under vHBM\n");
  }
  for (const auto& trace : traces) {
    std::error_code error;
    std::fprintf(stderr, "vhbm: recorded into %s: %s\n", trace.c_str(),
                 bytes_text(std::filesystem::file_size(trace, error)).c_str());
  }
  const int shown = traces.empty() ? exit_ok : show_timeline(request);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : exit_by_signal + WTERMSIG(status);
  return code == 0 ? shown : code;
}

int record(Request request, bool is_command) {
  const auto limit = parse_size(request.limit);
  if (!limit || limit->is_automatic() || limit->is_share()) {
    return refuse("--limit " + request.limit + "; accepted: a size such as 100MiB or 4096 (bytes)");
  }
  std::error_code error;
  request.file = std::filesystem::absolute(request.file, error).lexically_normal();
  if (std::filesystem::exists(request.file, error) && !request.force) {
    return refuse(request.file + " is there already: name another file, or say --force");
  }
  if (is_command) {
    if (request.seconds || request.device || request.json) {
      return refuse("--seconds, --device and --json go with PID|NAME, not with a command");
    }
    return run_recorded(request);
  }
  if (request.words.size() != 1) {
    return refuse(request.words.empty() ? "no process is named: PID|NAME, or -- COMMAND"
                                        : "one process at a time; a command goes after --");
  }
  const auto process = find_process(request.words.front());
  if (!process) return exit_no_process;
  return Recording(request, *process).run(limit->resolve({}, {}));
}

}  // namespace

void add_record_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand(
      "record", "Record what a process uses and moves, for vhbm replay or Perfetto");
  command->add_option("-o,--output", request->file, "the trace that is written")
      ->required()
      ->type_name("FILE");
  command->add_option("--seconds", request->seconds, "for so long; until Ctrl-C otherwise")
      ->check(CLI::Range(0.001, 3600.0))
      ->type_name("SECONDS");
  command->add_option("--limit", request->limit, "the recording ends when the file would be larger")
      ->capture_default_str()
      ->type_name("SIZE");
  command
      ->add_option("--timeline", request->timeline,
                   "then also write it as a trace that Perfetto opens")
      ->type_name("FILE");
  command->add_flag(
      "--kernels", request->kernels,
      "also when each kernel ran, from CUPTI, unless a profiler of the program's has it");
  command->add_option("--device", request->device, "which of the process's GPUs, by CUDA's number");
  command->add_flag("--force", request->force, "overwrite FILE");
  command->add_flag("--json", request->json, "the outcome as one line of JSON");
  command
      ->add_option("process", request->words,
                   "its id, or the name of its program; or after --, a program and its arguments")
      ->type_name("COMMAND");
  command->footer(examples);
  command->callback([command, request, &exit_code] {
    const auto rest = command->remaining();
    const bool is_command = std::find(rest.begin(), rest.end(), "--") != rest.end();
    exit_code = record(*request, is_command);
  });
}

}  // namespace vhbm::cli
