// `vhbm record` and `vhbm replay` on a program that runs under vHBM, on the simulated GPU.
#include <sys/stat.h>

#include "watched_program.h"

namespace {

using namespace std::chrono_literals;

class Recorded : public Watched {
 protected:
  ~Recorded() override {
    for (const std::string& file : {trace_, trace_ + ".json", trace_ + ".html"}) {
      std::filesystem::remove(file);
    }
  }
  [[nodiscard]] static std::string content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const std::string trace_ = state + ".vhbm";
};

TEST_F(Recorded, AProcessThatRunsIsRecordedForAWhile) {
  const CommandResult made = shell(tool + "record " + pid() + " -o " + trace_ +
                                   " --seconds 0.5 --timeline " + trace_ + ".json 2>&1");
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_NE(made.output.find("process " + pid() + " was recorded into " + trace_),
            std::string::npos)
      << made.output;
  EXPECT_NE(made.output.find("its time was over"), std::string::npos) << made.output;
  struct stat there {};
  ASSERT_EQ(::stat(trace_.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0600u);
  // It works no more: its regions are there, and nothing is used.
  const Json replayed = parsed(shell(tool + "replay --json " + trace_).output);
  ASSERT_TRUE(replayed.is_object());
  EXPECT_EQ(replayed["pid"], child_);
  EXPECT_EQ(replayed["regions"], 16);
  EXPECT_EQ(replayed["region_bytes"], 64 << 20);
  EXPECT_EQ(replayed["whole"], true);
  EXPECT_EQ(replayed["sizes"][0]["hbm_limit"], 32 << 20);
  EXPECT_TRUE(parsed(content(trace_ + ".json"))["traceEvents"].is_array());
  // Not twice over the same file, unless it is wanted.
  const CommandResult again =
      shell(tool + "record " + pid() + " -o " + trace_ + " --seconds 0.1 2>&1");
  EXPECT_EQ(again.exit_code, 64);
  EXPECT_NE(again.output.find("is there already"), std::string::npos) << again.output;
  EXPECT_EQ(
      shell(tool + "record --force --json " + pid() + " -o " + trace_ + " --seconds 0.1").exit_code,
      0);
  EXPECT_EQ(end(), 0) << log();
}

TEST_F(Recorded, CtrlCEndsTheRecordingAndNotTheProcess) {
  const CommandResult made = shell("timeout --preserve-status -s INT 2 " + tool + "record " +
                                   pid() + " -o " + trace_ + " 2>&1");
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_NE(made.output.find("it was told to end"), std::string::npos) << made.output;
  EXPECT_EQ(parsed(shell(tool + "replay --json " + trace_).output)["whole"], true);
  EXPECT_EQ(end(), 0) << log();
}

TEST_F(Recorded, AProcessThatIsKilledLeavesWhatItGotTo) {
  CommandResult made;
  const std::string command = tool + "record " + pid() + " -o " + trace_ + " 2>&1";
  std::thread recorder([&] { made = shell(command); });
  for (int i = 0; i < 3000 && content(trace_).size() < 1000; ++i) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(500ms);
  kill(child_, SIGKILL);
  // Whoever reaps it is who started it.
  EXPECT_EQ(end(), 128 + SIGKILL);
  recorder.join();
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_NE(made.output.find("the process ended"), std::string::npos) << made.output;
  const Json replayed = parsed(shell(tool + "replay --json " + trace_).output);
  ASSERT_TRUE(replayed.is_object());
  EXPECT_EQ(replayed["whole"], false);
  EXPECT_EQ(replayed["regions"], 16);
  EXPECT_NE(shell(tool + "replay " + trace_).output.find("the trace is not whole: "),
            std::string::npos);
}

TEST_F(Recorded, SaysWhatIsNotAccepted) {
  const auto refused = [&](const std::string& arguments, int code) {
    const CommandResult result = shell(tool + "record " + arguments + " 2>&1");
    EXPECT_EQ(result.exit_code, code) << arguments << ": " << result.output;
    return result.output;
  };
  EXPECT_NE(refused(pid() + " -o /nowhere/x", 2)
                .find("/nowhere/x: cannot be written: No such file or directory"),
            std::string::npos);
  EXPECT_NE(refused(pid() + " -o " + trace_ + " --device 7", 2)
                .find("device = 7 is not accepted: expected 0"),
            std::string::npos);
  EXPECT_NE(refused(pid() + " -o " + trace_ + " --limit 4096", 2)
                .find("limit = 4096 is not accepted: expected a size of at least 64KiB"),
            std::string::npos);
  EXPECT_NE(refused(pid() + " -o " + trace_ + " --limit much", 64).find("accepted: a size"),
            std::string::npos);
  EXPECT_NE(refused("-o " + trace_, 64).find("no process is named"), std::string::npos);
  refused("2147483646 -o " + trace_, 1);
  refused(pid(), 64);
  EXPECT_FALSE(std::filesystem::exists(trace_));
  EXPECT_EQ(end(), 0) << log();
}

TEST(Replayed, FilesAndArgumentsAreRefused) {
  const std::string file = state + ".none";
  const auto refused = [&](const std::string& arguments, int code) {
    const CommandResult result = shell(tool + "replay " + arguments + " 2>&1");
    EXPECT_EQ(result.exit_code, code) << arguments << ": " << result.output;
    return result.output;
  };
  EXPECT_EQ(refused(file, 1), "vhbm: " + file + ": cannot be read: No such file or directory\n");
  std::ofstream(file) << "something else";
  EXPECT_EQ(refused(file, 1),
            "vhbm: " + file + ": byte 0: this is no trace of vHBM's: `vhbm record` writes one\n");
  EXPECT_EQ(refused(file + " --policy best", 64),
            "vhbm: --policy best; accepted: lru, clock, next_use or frequency\n");
  refused(file + " --link 0", 64);
  refused("", 64);
  std::filesystem::remove(file);
  for (const char* command : {"record", "replay"}) {
    const std::string help = shell(tool + command + " --help").output;
    for (const char* word : {"Example", "Exit code", "FILE", "--json", "--timeline"}) {
      EXPECT_NE(help.find(word), std::string::npos) << command << ": " << help;
    }
  }
}

}  // namespace
