// `vhbm top`: what the processes under vHBM do, again and again, on a screen where there is one.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "commands.h"
#include "exit_code.h"
#include "layout.h"
#include "model.h"
#include "screen.h"
#include "steering.h"
#include "view.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm top                       every process of this user under vHBM, again each second
  vhbm top --interval 0.2        five times a second
  vhbm top --once                the table once, as plain text
  vhbm top --json >top.jsonl     a line of JSON each second: as `vhbm stat --watch --json`

Keys: ? lists them. The map shows the chosen process's regions by address, a cell a group of chunks:
its colour is what the region holds, its fill how much of it is in HBM. Colours follow TERM and
NO_COLOR; without UTF-8 or colours the map is made of letters. Where there is no terminal, or a dumb
one, the table is printed once.

Exit code: 0, also when nobody runs under vHBM; 64 when the command line is not accepted.)";

using Clock = std::chrono::steady_clock;
constexpr int plain_width = 120;
constexpr std::chrono::milliseconds answer_interval{50};

struct Request {
  double interval = 1;  // seconds
  bool once = false, json = false;
};

std::string json_line(const Model& model) {
  std::string text;
  for (const ProcessLine& line : model.processes) {
    text += (text.empty() ? "" : ",") + stats_json(line.stats, line.rates);
  }
  return "[" + text + "]\n";
}

int columns() {
  const char* text = std::getenv("COLUMNS");
  const int width = text == nullptr ? 0 : std::atoi(text);
  return width >= 20 ? width : plain_width;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// Lines, until somebody ends this or nobody reads them.
void print_json(const Request& request, Collector& collector) {
  sigset_t ends;
  sigemptyset(&ends);
  for (int one : {SIGINT, SIGTERM}) sigaddset(&ends, one);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const auto whole = static_cast<time_t>(request.interval);
  const timespec interval{whole,
                          static_cast<long>((request.interval - static_cast<double>(whole)) * 1e9)};
  do {
    print(json_line(collector.look(request.interval)));
    if (request.once || std::ferror(stdout) != 0) return;
  } while (sigtimedwait(&ends, nullptr, &interval) <= 0);
}

// Asks a process to sleep or to wake, and waits for its answer without holding up the screen.
class Asking {
 public:
  void ask(Key wanted, pid_t process) {
    std::packaged_task<std::string()> task([wanted, process] {
      return wanted == Key::sleep ? put_to_sleep(process) : wake_up(process);
    });
    answer_ = task.get_future();
    // Who quits meanwhile does not wait for it.
    std::thread(std::move(task)).detach();
  }
  [[nodiscard]] bool pending() const { return answer_.valid(); }
  // The answer, once it is there.
  [[nodiscard]] std::optional<std::string> take() {
    if (!pending() || answer_.wait_for(Clock::duration::zero()) != std::future_status::ready) {
      return std::nullopt;
    }
    return answer_.get();
  }

 private:
  std::future<std::string> answer_;
};

void steer(Key wanted, const Model& model, View& view, Asking& asking) {
  const ProcessLine* process = chosen_of(model, view);
  if (process == nullptr) return;
  const std::string pid = std::to_string(process->stats.pid);
  if (asking.pending()) {
    view.message = "wait for the answer to what was asked before";
    return;
  }
  view.message = "asking process " + pid + (wanted == Key::sleep ? " to sleep" : " to wake");
  asking.ask(wanted, process->stats.pid);
}

void watch(Screen& screen, Collector& collector, View view) {
  Asking asking;
  Model model = collector.look(view.interval);
  Clock::time_point looked = Clock::now();
  for (;;) {
    if (auto answer = asking.take()) view.message = std::move(*answer);
    const Canvas canvas{screen.width(), screen.height(), !locale_has_utf8(), !screen.has_colours()};
    screen.show(draw(model, view, canvas));
    const auto interval =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(view.interval));
    auto left = std::chrono::ceil<std::chrono::milliseconds>(looked + interval - Clock::now());
    if (left.count() <= 0) {
      model = collector.look(view.interval);
      looked = Clock::now();
      continue;
    }
    if (asking.pending()) left = std::min(left, answer_interval);
    const Key key = screen.wait(left);
    if (key != Key::none) view.message.clear();
    const Key wanted = press(key, model, view);
    if (wanted == Key::quit) return;
    if (wanted != Key::none) steer(wanted, model, view, asking);
  }
}

int top(const Request& request) {
  const auto directory = shared_directory(std::nullopt);
  if (!directory) return exit_usage;
  std::setlocale(LC_ALL, "");
  Collector collector(*directory);
  if (request.json) {
    print_json(request, collector);
    return exit_ok;
  }
  View view;
  view.interval = request.interval;
  std::string why_not = request.once ? "" : Screen::why_not();
  Screen screen;
  if (!request.once && why_not.empty()) {
    if (screen.open()) {
      watch(screen, collector, view);
      return exit_ok;
    }
    why_not = "the terminal \"" + std::string(std::getenv("TERM")) + "\" is not known here";
  }
  if (!why_not.empty()) {
    std::fprintf(stderr, "vhbm: %s, so this is printed once; --json goes on\n", why_not.c_str());
  }
  print(plain_table(collector.look(request.interval), view, columns(), !locale_has_utf8()));
  return exit_ok;
}

}  // namespace

void add_top_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command =
      app.add_subcommand("top", "Watch processes under vHBM, and where their memory is");
  command->add_option("--interval", request->interval, "seconds between two looks, 1 if not given")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 60.0));
  command->add_flag("--once", request->once, "print the table once, as plain text");
  command->add_flag("--json", request->json, "print JSON, a line an interval");
  command->footer(examples);
  command->callback([request, &exit_code] { exit_code = top(*request); });
}

}  // namespace vhbm::cli
