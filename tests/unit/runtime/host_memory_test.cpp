// Available host memory, from made-up /proc and /sys trees.
#include "runtime/host_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace vhbm {
namespace {

class HostMemory : public ::testing::Test {
 protected:
  HostMemory() : root_(::testing::TempDir() + "host_memory." + std::to_string(getpid())) {
    write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable:    4194304 kB\n");
  }
  ~HostMemory() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  [[nodiscard]] Bytes available(const HostPromises& promised = {}) const {
    return available_host_memory(promised, root_);
  }

  const std::string root_;
};

TEST_F(HostMemory, IsWhatTheKernelCallsAvailable) {
  EXPECT_EQ(available(), gib(4));
}

TEST_F(HostMemory, IsLessByWhatOthersWerePromised) {
  EXPECT_EQ(available({gib(1), {}}), gib(3));
  EXPECT_EQ(available({gib(500), {}}), mib(512));
  write("/proc/self/cgroup", "0::/server\n");
  write("/sys/fs/cgroup/server/memory.max", "2147483648\n");
  write("/sys/fs/cgroup/server/memory.current", "0\n");
  EXPECT_EQ(available({gib(1), {}}), gib(2));
  EXPECT_EQ(available({gib(1), gib(1)}), gib(1));
}

TEST_F(HostMemory, IsBoundedByTheGroupAndItsParents) {
  write("/proc/self/cgroup", "0::/pods/server\n");
  write("/sys/fs/cgroup/pods/server/memory.max", "max\n");
  write("/sys/fs/cgroup/pods/server/memory.current", "1048576\n");
  write("/sys/fs/cgroup/pods/memory.max", "3221225472\n");
  write("/sys/fs/cgroup/pods/memory.current", "1073741824\n");
  EXPECT_EQ(available(), gib(2));
}

TEST_F(HostMemory, FindsTheContainersOwnGroupAtTheMountsRoot) {
  write("/proc/self/cgroup", "0::/../outside\n");
  write("/sys/fs/cgroup/memory.max", "1073741824\n");
  write("/sys/fs/cgroup/memory.current", "0\n");
  EXPECT_EQ(available(), gib(1));
}

TEST_F(HostMemory, ReadsTheFirstVersionOfGroupsToo) {
  write("/proc/self/cgroup", "5:cpu,memory:/a\n4:pids:/a\n");
  write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2147483648\n");
  write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1073741824\n");
  EXPECT_EQ(available(), gib(1));
}

TEST_F(HostMemory, IsNothingWhereAGroupIsOverItsLimit) {
  write("/proc/self/cgroup", "0::/\n");
  write("/sys/fs/cgroup/memory.max", "1000\n");
  write("/sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(available(), Bytes{0});
}

TEST(HostMemoryHere, IsSomething) {
  EXPECT_GT(available_host_memory(), Bytes{0});
}

}  // namespace
}  // namespace vhbm
