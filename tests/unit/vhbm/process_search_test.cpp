// Processes in a folder that looks like /proc: each trap is told by its name.
#include "ps/process_search.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ps/program_file.h"
#include "runtime/stats.h"

namespace vhbm::cli {
namespace {

namespace fs = std::filesystem;

class ProcessSearch : public ::testing::Test {
 protected:
  ProcessSearch() : folder_(testing::TempDir() + "proc." + std::to_string(getpid())) {
    fs::create_directories(folder_);
    state_ = folder_ + ".state";
  }
  ~ProcessSearch() override {
    fs::remove_all(folder_);
    fs::remove_all(state_);
  }

  struct Process {
    pid_t pid;
    pid_t parent = 1;
    std::vector<std::string> maps = {"/usr/lib/libcuda.so.1"};
    std::string environ = "";
    std::string exe = "/proc/self/exe";
    std::vector<std::string> open = {};
  };
  void make(const Process& process) {
    const std::string at = folder_ + "/" + std::to_string(process.pid);
    fs::create_directories(at + "/fd");
    std::ofstream(at + "/stat") << process.pid << " (a (b) c) S " << process.parent << " 1 1";
    std::ofstream(at + "/cmdline") << "server" << '\0' << "--port" << '\0' << "80" << '\0';
    std::ofstream(at + "/environ") << process.environ;
    std::ofstream maps(at + "/maps");
    for (const std::string& file : process.maps) {
      maps << "7f00-7f10 r-xp 00000000 fe:01 1 " << file << "\n";
    }
    fs::create_symlink(process.exe, at + "/exe");
    fs::create_symlink("/", at + "/root");
    for (std::size_t i = 0; i < process.open.size(); ++i) {
      fs::create_symlink(process.open[i], at + "/fd/" + std::to_string(i));
    }
  }
  Found search(std::map<pid_t, std::uint64_t> nvml = {}) {
    return find_gpu_processes({ProcFolder(folder_), state_, std::move(nvml)});
  }
  GpuProcess only(std::map<pid_t, std::uint64_t> nvml = {}) {
    Found found = search(std::move(nvml));
    EXPECT_EQ(found.processes.size(), 1u);
    return found.processes.empty() ? GpuProcess{} : found.processes[0];
  }

  const std::vector<std::string> both_ = {"/opt/lib/libvhbm.so", "/usr/lib/libcuda.so.1"};
  const std::string folder_;
  std::string state_;
};

TEST_F(ProcessSearch, FindsWhoUsesAGpuAndNobodyElse) {
  make({.pid = 10, .maps = {"/usr/lib/libc.so.6"}});
  make({.pid = 11, .maps = {"/usr/lib/libc.so.6"}, .open = {"/dev/nvidiactl", "/dev/nvidia-uvm"}});
  make({.pid = 12, .maps = {"/usr/lib/libc.so.6"}, .open = {"/dev/nvidia3"}});
  make({.pid = 13});
  make({.pid = 14, .maps = {}});
  const Found found = search({{14, 5 << 20}});
  ASSERT_EQ(found.processes.size(), 3u);
  EXPECT_EQ(found.processes[0].pid, 12);
  EXPECT_EQ(found.processes[1].pid, 13);
  EXPECT_EQ(found.processes[1].command, "server --port 80");
  EXPECT_EQ(found.processes[2].pid, 14);
  EXPECT_EQ(found.processes[2].used, 5u << 20);
}

TEST_F(ProcessSearch, TellsAWorkerThatLostThePreloadFromOneThatNeverHadIt) {
  make({.pid = 10});
  EXPECT_EQ(only().attachment, Attachment::no_preload);
  make({.pid = 20, .maps = {"/opt/lib/libvhbm.so"}});  // has no GPU itself
  make({.pid = 21, .parent = 20});
  const Found found = search();
  ASSERT_EQ(found.processes.size(), 2u);
  EXPECT_EQ(found.processes[1].attachment, Attachment::lost_preload);
  EXPECT_NE(found.processes[1].detail.find("process 20"), std::string::npos);
}

TEST_F(ProcessSearch, SaysThatAPreloadWasNotLoaded) {
  make({.pid = 10, .environ = std::string("A=1\0LD_PRELOAD=/gone/libvhbm.so\0", 33)});
  const GpuProcess process = only();
  EXPECT_EQ(process.attachment, Attachment::not_loaded);
  EXPECT_NE(process.detail.find("/gone/libvhbm.so"), std::string::npos);
}

TEST_F(ProcessSearch, SaysThatItIsDisabledOrItsConfigurationRefused) {
  make({.pid = 10, .maps = both_, .environ = std::string("VHBM_DISABLE=1\0", 15)});
  EXPECT_EQ(only().attachment, Attachment::disabled);
  fs::remove_all(folder_ + "/10");
  make({.pid = 11, .maps = both_, .environ = std::string("VHBM_HBM_LIMIT=plenty\0", 22)});
  const GpuProcess refused = only();
  EXPECT_EQ(refused.attachment, Attachment::refused);
  EXPECT_NE(refused.detail.find("plenty"), std::string::npos) << refused.detail;
}

TEST_F(ProcessSearch, KnowsProgramsThatNoPreloadReaches) {
  const auto program = [&](const char* name, unsigned char elf_class, std::uint16_t machine) {
    Elf64_Ehdr header{};
    std::ifstream("/proc/self/exe").read(reinterpret_cast<char*>(&header), sizeof header);
    header.e_ident[EI_CLASS] = elf_class;
    if (machine != 0) header.e_machine = machine;
    header.e_phnum = 0;
    const std::string path = folder_ + "/" + name;
    std::ofstream(path).write(reinterpret_cast<const char*>(&header), sizeof header);
    return path;
  };
  EXPECT_EQ(kind_of_program("/proc/self/exe"), ProgramKind::ordinary);
  EXPECT_EQ(kind_of_program("/no/such"), ProgramKind::unknown);
  make({.pid = 10, .exe = program("static", ELFCLASS64, 0)});
  EXPECT_EQ(only().attachment, Attachment::static_program);
  fs::remove_all(folder_ + "/10");
  make({.pid = 11, .exe = program("small", ELFCLASS32, 0)});
  EXPECT_EQ(only().attachment, Attachment::architecture);
  fs::remove_all(folder_ + "/11");
  make({.pid = 12, .exe = program("other", ELFCLASS64, EM_S390)});
  EXPECT_EQ(only().attachment, Attachment::architecture);
}

TEST_F(ProcessSearch, MatchesStatisticsToTheProcessThatHasTheLibrary) {
  Stats stats;
  std::string why_not;
  ASSERT_TRUE(stats.share(state_, 0, &why_not)) << why_not;
  stats.set(Stat::hbm_bytes, 123);
  make({.pid = getpid(), .maps = both_});
  GpuProcess process = only();
  EXPECT_EQ(process.attachment, Attachment::attached);
  EXPECT_TRUE(process.in_this_namespace);
  EXPECT_EQ(process.sum(Stat::hbm_bytes), 123u);
  // Another one of that number here: the statistics are another container's.
  fs::remove_all(folder_ + "/" + std::to_string(getpid()));
  make({.pid = getpid()});
  const Found found = search();
  ASSERT_EQ(found.processes.size(), 2u);
  EXPECT_EQ(found.processes[0].attachment, Attachment::no_preload);
  EXPECT_EQ(found.processes[1].attachment, Attachment::attached);
  EXPECT_FALSE(found.processes[1].in_this_namespace);
}

TEST_F(ProcessSearch, FindsStatisticsThatAreSharedElsewhere) {
  Stats stats;
  std::string why_not;
  ASSERT_TRUE(stats.share(state_, 0, &why_not)) << why_not;
  std::string environ = "VHBM_STATE_DIR=" + state_;
  environ += '\0';
  make({.pid = getpid(), .maps = both_, .environ = environ});
  const Found found = find_gpu_processes({ProcFolder(folder_), folder_, {}});
  ASSERT_EQ(found.processes.size(), 1u);
  EXPECT_EQ(found.processes[0].attachment, Attachment::elsewhere);
  EXPECT_EQ(found.processes[0].devices.size(), 1u);
  EXPECT_NE(found.processes[0].detail.find(state_), std::string::npos);
}

TEST_F(ProcessSearch, PutsChildrenBelowTheirParents) {
  make({.pid = 10});
  make({.pid = 11, .parent = 5});  // 5 is no GPU process, and 10's child
  make({.pid = 5, .parent = 10, .maps = {}});
  make({.pid = 12});
  const Found found = search();
  ASSERT_EQ(found.processes.size(), 3u);
  EXPECT_EQ(found.processes[0].pid, 10);
  EXPECT_EQ(found.processes[0].children, std::vector<pid_t>{11});
  EXPECT_EQ(found.processes[1].pid, 11);
  EXPECT_EQ(found.processes[1].parent, 10);
  EXPECT_EQ(found.processes[2].pid, 12);
}

TEST_F(ProcessSearch, ListsWhatItMayNotLookIntoWhenNvmlDoes) {
  make({.pid = 10});
  for (const char* file : {"maps", "environ", "fd"}) fs::remove_all(folder_ + "/10/" + file);
  EXPECT_TRUE(search().processes.empty());
  EXPECT_EQ(search().closed, 1u);
  EXPECT_EQ(only({{10, 7}}).attachment, Attachment::other_user);
}

}  // namespace
}  // namespace vhbm::cli
