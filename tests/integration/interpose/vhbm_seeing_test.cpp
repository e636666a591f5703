// The commands that show: ps, top and export, on processes that run.
#include <functional>

#include "watched_program.h"

namespace {

using namespace std::chrono_literals;

// The entry of the list that has that process; null without one.
Json of_process(const Json& list, pid_t process) {
  for (const Json& one : list) {
    if (one.is_object() && one.value("pid", 0) == process) return one;
  }
  return nullptr;
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 400; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(25ms);
  }
  return false;
}

TEST_F(Watched, PsTellsWhoRunsUnderVhbmAndWhoDoesNot) {
  const std::string native =
      shell("LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB " CUDA_PROGRAM " 8 wait:" + go_ +
            " >/dev/null 2>&1 & echo $!")
          .output;
  const pid_t other = std::stoi(native);
  Json list;
  ASSERT_TRUE(eventually([&] {
    list = parsed(shell(tool + "ps --json 2>/dev/null").output);
    return of_process(list, other).is_object();
  })) << list;
  const Json ours = of_process(list, child_);
  ASSERT_TRUE(ours.is_object()) << list;
  EXPECT_EQ(ours["state"], "attached");
  EXPECT_EQ(ours["attached"], true);
  EXPECT_EQ(ours["devices"][0]["hbm_limit"], 32 << 20);
  EXPECT_GT(ours["devices"][0]["host_bytes"], 0);
  EXPECT_EQ(of_process(list, other)["state"], "no-preload");
  const CommandResult text = shell(tool + "ps 2>&1");
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_NE(text.output.find(native.substr(0, native.find('\n')) + " no-preload:"),
            std::string::npos)
      << text.output;
  // Whoever looks into another directory is told where this one shares.
  const CommandResult elsewhere =
      shell("env " + sanitizer + "VHBM_STATE_DIR=" + state + ".other " VHBM_COMMAND " ps --json");
  const Json there = of_process(parsed(elsewhere.output), child_);
  EXPECT_EQ(there["state"], "other-state-directory") << there;
}

TEST_F(Watched, TopPrintsATableOnceWhereThereIsNoTerminal) {
  const CommandResult once = shell(tool + "top 2>&1 </dev/null");
  EXPECT_EQ(once.exit_code, 0);
  EXPECT_NE(once.output.find("standard output is no terminal"), std::string::npos) << once.output;
  EXPECT_NE(once.output.find(" " + pid() + " "), std::string::npos) << once.output;
  EXPECT_EQ(once.output.find('\033'), std::string::npos);
  const CommandResult lines = shell("timeout -s INT 1 " + tool + "top --json --interval 0.2");
  std::istringstream stream(lines.output);
  std::string first, second;
  std::getline(stream, first);
  std::getline(stream, second);
  EXPECT_FALSE(of_process(parsed(first), child_).contains("rates")) << first;
  EXPECT_TRUE(of_process(parsed(second), child_).contains("rates")) << second;
}

TEST_F(Watched, ExportServesTheLivingAndForgetsTheDead) {
  const std::string log = state + ".export";
  const pid_t server = std::stoi(
      shell("exec 3>&1; " + tool + "export --listen 127.0.0.1:0 >" + log + " 2>&1 3>&- & echo $!")
          .output);
  const auto served = [&] {
    std::ifstream file(log);
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  ASSERT_TRUE(eventually([&] { return served().find("/metrics\n") != std::string::npos; }))
      << served();
  const std::size_t colon = served().rfind(':');
  const std::string port = served().substr(colon + 1, served().find('/', colon) - colon - 1);
  const auto metrics = [&] {
    return shell("bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + port +
                 " && printf \"GET /metrics HTTP/1.0\\r\\n\\r\\n\" >&3 && cat <&3'")
        .output;
  };
  const std::string labels = "{pid=\"" + pid() + "\",name=\"preloaded_program\",device=\"0\"} ";
  EXPECT_NE(metrics().find("\nvhbm_hbm_limit_bytes" + labels + "33554432\n"), std::string::npos)
      << metrics();
  EXPECT_NE(shell(tool + "export --once").output.find("\nvhbm_regions" + labels + "16\n"),
            std::string::npos);
  EXPECT_EQ(end(), 0);
  EXPECT_EQ(metrics().find("pid=\""), std::string::npos) << metrics();
  kill(server, SIGTERM);
  EXPECT_TRUE(eventually([&] { return kill(server, 0) != 0; }));
  std::filesystem::remove(log);
}

// `vhbm top` in a real terminal.
class Terminal : public Watched {
 protected:
  void SetUp() override {
    if (shell("tmux -V 2>&1").exit_code != 0) GTEST_SKIP() << "tmux is not installed";
    Watched::SetUp();
  }
  void TearDown() override {
    shell(tmux_ + "kill-server 2>/dev/null");
    Watched::TearDown();
  }
  void start(const std::string& variables, int width, int height) {
    const std::string command = variables + " " + tool + "top --interval 0.2";
    ASSERT_EQ(shell(tmux_ + "-f /dev/null -u new-session -d -x " + std::to_string(width) + " -y " +
                    std::to_string(height) + " '" + command + "; exec sleep 60' 2>&1")
                  .exit_code,
              0);
  }
  void press(const std::string& keys) const { shell(tmux_ + "send-keys " + keys); }
  std::string screen(const std::string& how = "") const {
    return shell(tmux_ + "capture-pane -p " + how).output;
  }
  bool shows(const std::string& words) const {
    return eventually([&] { return screen().find(words) != std::string::npos; });
  }

  const std::string tmux_ = "tmux -L vhbm-test." + std::to_string(getpid()) + " ";
};

TEST_F(Terminal, ShowsTheMapAndTakesKeys) {
  start("TERM=screen-256color LC_ALL=C.UTF-8", 100, 30);
  const std::string title = "Process " + pid() + ": ";
  ASSERT_TRUE(shows(title)) << screen();
  // A cell for each of the 32 chunks of 2 MiB, in HBM or not as the title says.
  const std::string seen = screen();
  std::size_t in_hbm = 0, in_host = 0;
  std::istringstream lines(seen.substr(seen.find(title)));
  for (std::string line; in_hbm + in_host != 32 && std::getline(lines, line);) {
    in_hbm = in_host = 0;
    for (std::size_t i = 0; i + 3 <= line.size(); i += 3) {
      if (line.compare(i, 3, "█") == 0) ++in_hbm;
      if (line.compare(i, 3, "░") == 0) ++in_host;
    }
  }
  EXPECT_EQ(in_hbm + in_host, 32u) << seen;
  EXPECT_GT(in_hbm, 0u) << seen;
  EXPECT_NE(seen.find(title + std::to_string(2 * in_hbm) + ".0 MiB in HBM, " +
                      std::to_string(2 * in_host) + ".0 MiB in host memory"),
            std::string::npos)
      << seen;
  EXPECT_NE(screen("-e").find("\033[38;5;"), std::string::npos) << "256 colours";
  press("s");
  EXPECT_TRUE(shows("by hbm")) << screen();
  press("?");
  EXPECT_TRUE(shows("Keys of vhbm top")) << screen();
  shell(tmux_ + "resize-window -x 40 -y 14");
  EXPECT_TRUE(shows("Keys of vhbm top")) << screen();
  press("x");
  EXPECT_TRUE(shows("    PID       HBM      HOST COMMAND")) << screen();
  press("z");
  EXPECT_TRUE(shows("process " + pid() + " is asleep")) << screen();
  EXPECT_EQ(stat()["asleep"], 1);
  press("w");
  EXPECT_TRUE(shows("process " + pid() + " is awake")) << screen();
  end();
  EXPECT_TRUE(shows("No process of this user runs")) << screen();
  press("q");
  EXPECT_TRUE(eventually([&] {
    return shell(tmux_ + "display -p '#{pane_current_command}'").output == "sleep\n";
  })) << screen();
}

TEST_F(Terminal, DegradesWhereThereIsLess) {
  start("TERM=screen LC_ALL=C", 100, 30);
  ASSERT_TRUE(shows("Process " + pid())) << screen();
  const std::string eight = screen("-e");
  EXPECT_NE(eight.find("\033[32m"), std::string::npos) << "8 colours";
  EXPECT_EQ(eight.find("\033[38;5;"), std::string::npos);
  for (const char c : screen()) ASSERT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << screen();
  shell(tmux_ + "kill-server");
  start("TERM=screen NO_COLOR=1 LC_ALL=C.UTF-8", 100, 30);
  ASSERT_TRUE(shows("capital: at least half of it in HBM")) << screen();
  EXPECT_EQ(screen("-e").find("\033[32m"), std::string::npos) << screen("-e");
  shell(tmux_ + "kill-server");
  start("TERM=dumb", 100, 30);
  EXPECT_TRUE(shows("TERM is dumb, so this is printed once")) << screen();
  EXPECT_TRUE(shows(" " + pid() + " ")) << screen();
}

}  // namespace
