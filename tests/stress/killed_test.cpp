// kill -9 at any moment of a paging server leaves nothing behind that the next one would meet: what
// is shared is one file a process, in the state directory, which the next start removes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/share_socket.h"
#include "runtime/stats_reader.h"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
namespace filesystem = std::filesystem;

// Fewer where a sanitizer makes each start slow.
constexpr int kills = *SANITIZER_LIBRARY == 0 ? 50 : 8;

std::set<std::string> names_in(const filesystem::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : filesystem::directory_iterator(folder, error)) {
    names.insert(entry.path().filename());
  }
  return names;
}

class Killed : public ::testing::Test {
 protected:
  Killed() { filesystem::create_directories(folder_); }
  ~Killed() override { filesystem::remove_all(folder_); }

  // A paging server in a session of its own. With a summary `vhbm run` stays beside it.
  pid_t start(bool with_summary) {
    std::vector<std::string> command = {VHBM_COMMAND, "run"};
    for (const char* option :
         {"hbm_limit=12MiB", "pager_interval=1ms", "stall_limit=90%", "thrash_guard=0"}) {
      command.insert(command.end(), {"--set", option});
    }
    if (with_summary) command.insert(command.end(), {"--summary", folder_ / "summary.json"});
    command.insert(command.end(),
                   {"--", SAMPLE_SERVER, "--requests", "24", "--experts", "64", "--kv-tokens",
                    "8192", "--graphs", "layer", "--json", folder_ / "server.json"});
    const pid_t server = fork();
    if (server != 0) return server;
    setsid();
    setenv("VHBM_STATE_DIR", (folder_ / "state").c_str(), 1);
    setenv("LD_LIBRARY_PATH", VHBM_LIB_DIR, 1);
    if (*SANITIZER_LIBRARY != 0) {
      setenv("LD_PRELOAD", SANITIZER_LIBRARY, 1);
      setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
    }
    if (freopen((folder_ / "output").c_str(), "a", stdout) == nullptr) _exit(126);
    dup2(STDOUT_FILENO, STDERR_FILENO);
    std::vector<char*> arguments;
    for (std::string& one : command) arguments.push_back(one.data());
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }

  // The digest of a run that nobody disturbs; empty when it failed. Sets how long it took.
  std::string run(Clock::duration* took = nullptr) {
    filesystem::remove(folder_ / "server.json");
    const auto begin = Clock::now();
    int status = -1;
    waitpid(start(false), &status, 0);
    if (took != nullptr) *took = Clock::now() - begin;
    if (status != 0) return {};
    const auto report =
        nlohmann::json::parse(std::ifstream(folder_ / "server.json"), nullptr, false);
    return report.value("digest", "");
  }

  std::string output() const {
    std::ifstream file(folder_ / "output");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const filesystem::path folder_ = testing::TempDir() + "killed." + std::to_string(getpid());
};

TEST_F(Killed, AtAnyPointLeavesNothingThatHindersTheNextRun) {
  const unsigned seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  std::printf("seed %u\n", seed);
  std::fflush(stdout);
  std::mt19937 random(seed);
  const auto shared_memory = names_in("/dev/shm");
  Clock::duration whole{};
  const std::string digest = run(&whole);
  ASSERT_FALSE(digest.empty()) << output();
  int killed_alive = 0;
  for (int i = 0; i < kills; ++i) {
    const pid_t server = start(i % 2 != 0);
    const auto most = std::chrono::duration_cast<std::chrono::microseconds>(whole).count();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % most));
    // The whole session at once: nobody is left who could tidy up.
    kill(-server, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(server, &status, 0), server);
    if (WIFSIGNALED(status)) ++killed_alive;
    // A child of `vhbm run` is gone a moment later.
    const auto end = Clock::now() + 10s;
    while (!vhbm::read_live_stats(folder_ / "state").empty() && Clock::now() < end) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_TRUE(vhbm::read_live_stats(folder_ / "state").empty()) << "a dead one looks alive";
    // One file at most outlives its process, for the last look of `vhbm run --summary`; and a
    // socket.
    const std::set<std::string> left = names_in(folder_ / "state");
    const auto sockets = std::count_if(left.begin(), left.end(), [](const std::string& name) {
      return name.ends_with(vhbm::control_suffix);
    });
    EXPECT_LE(sockets, 1);
    EXPECT_LE(left.size() - static_cast<std::size_t>(sockets), 2u);
    if (i % 10 == 9) {
      EXPECT_EQ(run(), digest) << output();
    }
  }
  EXPECT_GT(killed_alive, kills / 2) << "most servers had ended before they were killed";
  EXPECT_EQ(run(), digest) << output();
  EXPECT_LE(names_in(folder_ / "state").size(), 1u) << "the next run removes what is stale";
  for (const std::string& name : names_in("/dev/shm")) {
    // Others' tests may be at work there as well; the product's names say what they are.
    if (shared_memory.count(name) != 0) continue;
    EXPECT_EQ(name.find("simgpu"), std::string::npos) << name;
    EXPECT_EQ(name.find("vhbm"), std::string::npos) << name;
  }
}

}  // namespace
