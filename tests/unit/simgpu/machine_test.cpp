// Processes that share a simulated GPU: together they never hold more than it has, and what one of
// them held is free when it has ended, however it ended.
#include <cuda.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "memory/machine_file.h"

namespace simgpu {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20, kBudget = 64 * kMebibyte;

// Another process, at work until it is told to go on; its parent knows when it has begun to wait.
class Child {
 public:
  using Pause = std::function<void()>;
  explicit Child(const std::function<int(const Pause&)>& work) {
    EXPECT_EQ(pipe(here_), 0);
    EXPECT_EQ(pipe(there_), 0);
    pid_ = fork();
    if (pid_ != 0) return;
    _exit(work([this] {
      char one = 0;
      if (write(here_[1], &one, 1) != 1 || read(there_[0], &one, 1) != 1) _exit(99);
    }));
  }
  ~Child() {
    if (pid_ > 0) end(SIGKILL);
    for (int file : {here_[0], here_[1], there_[0], there_[1]}) close(file);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void wait_for_pause() {
    char one = 0;
    EXPECT_EQ(read(here_[0], &one, 1), 1);
  }
  void go_on() { EXPECT_EQ(write(there_[1], "", 1), 1); }
  void signal(int number) { EXPECT_EQ(kill(pid_, number), 0); }
  int end(int number = 0) {
    if (number != 0) signal(number);
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  int here_[2], there_[2];
  pid_t pid_ = -1;
};

class SharedMachine : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "machine.XXXXXX";
    const int file = mkstemp(name.data());
    ASSERT_GE(file, 0);
    close(file);
    path_ = name;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<MachineFile> open() const {
    std::string why_not;
    auto file = MachineFile::open(path_, &why_not);
    EXPECT_NE(file, nullptr) << why_not;
    return file;
  }
  // Holds so much of the first GPU during its pause.
  std::unique_ptr<Child> holder(std::uint64_t bytes) const {
    return std::make_unique<Child>([this, bytes](const Child::Pause& pause) {
      const auto file = open();
      if (!file->join() || !file->take(0, bytes, kBudget)) return 1;
      pause();
      file->give_back(0, bytes);
      pause();
      return 0;
    });
  }

  std::string path_;
};

TEST_F(SharedMachine, CountsWhatAllHoldAndWhoHoldsIt) {
  const auto first = holder(24 * kMebibyte), second = holder(32 * kMebibyte);
  first->wait_for_pause();
  second->wait_for_pause();
  const auto file = open();
  EXPECT_EQ(file->used(0), 56 * kMebibyte);
  EXPECT_EQ(file->used(1), 0u);
  ASSERT_TRUE(file->join());
  EXPECT_FALSE(file->take(0, 9 * kMebibyte, kBudget));
  EXPECT_TRUE(file->take(1, 9 * kMebibyte, kBudget));
  EXPECT_TRUE(file->take(0, 8 * kMebibyte, kBudget));
  std::uint64_t of_first = 0;
  for (const auto& use : file->uses(0)) {
    if (use.pid == first->pid()) of_first = use.bytes;
  }
  EXPECT_EQ(of_first, 24 * kMebibyte);
  first->go_on();
  first->wait_for_pause();
  EXPECT_TRUE(file->take(0, 24 * kMebibyte, kBudget));
}

TEST_F(SharedMachine, TellsWhoElseHasKernels) {
  const auto run = [&](const Child::Pause& pause) {
    const auto file = open();
    if (!file->join()) return 1;
    file->begin_kernels(0);
    pause();
    file->end_kernels(0);
    pause();
    return 0;
  };
  Child first(run), second(run);
  first.wait_for_pause();
  second.wait_for_pause();
  const auto file = open();
  ASSERT_TRUE(file->join());
  file->begin_kernels(0);  // its own do not count
  EXPECT_EQ(file->others_with_kernels(0), 2u);
  EXPECT_EQ(file->others_with_kernels(1), 0u);
  EXPECT_EQ(first.end(SIGKILL), -SIGKILL);
  EXPECT_EQ(file->others_with_kernels(0), 1u);
  second.go_on();
  second.wait_for_pause();
  usleep(10'000);  // more than the moment in which the next kernel may come
  EXPECT_EQ(file->others_with_kernels(0), 0u);
}

TEST_F(SharedMachine, WhatTheDeadHeldIsFree) {
  const auto held = holder(kBudget);
  held->wait_for_pause();
  const auto file = open();
  ASSERT_TRUE(file->join());
  EXPECT_FALSE(file->take(0, kMebibyte, kBudget));
  EXPECT_EQ(held->end(SIGKILL), -SIGKILL);
  EXPECT_TRUE(file->take(0, kBudget, kBudget));
}

TEST_F(SharedMachine, AStoppedProcessKeepsItsMemoryAndBlocksNobody) {
  const auto held = holder(32 * kMebibyte);
  held->wait_for_pause();
  held->signal(SIGSTOP);
  const auto file = open();
  ASSERT_TRUE(file->join());
  EXPECT_FALSE(file->take(0, 33 * kMebibyte, kBudget));
  EXPECT_TRUE(file->take(0, 32 * kMebibyte, kBudget));
  held->signal(SIGCONT);
}

// Two of what each takes are more than there is, so that no two ever hold it together.
TEST_F(SharedMachine, IsNeverOverdrawn) {
  void* const shared = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* const holders = new (shared) std::atomic<int>(0);
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(std::make_unique<Child>([this, holders](const Child::Pause& pause) {
      const auto file = open();
      if (!file->join()) return 1;
      pause();
      for (int taken = 0; taken < 50;) {
        if (!file->take(0, kBudget / 3 * 2, kBudget)) continue;
        ++taken;
        if (++*holders != 1) return 2;
        sched_yield();
        --*holders;
        file->give_back(0, kBudget / 3 * 2);
      }
      return 0;
    }));
  }
  for (const auto& child : children) child->wait_for_pause();
  for (const auto& child : children) child->go_on();
  for (const auto& child : children) EXPECT_EQ(child->end(), 0);
  EXPECT_EQ(open()->used(0), 0u);
  munmap(shared, sizeof(std::atomic<int>));
}

// The whole driver, in processes that start it themselves.
TEST_F(SharedMachine, ADriverTellsOfWhatOthersHold) {
  setenv("SIMGPU_MACHINE", path_.c_str(), 1);
  const auto allocate = [](std::size_t size, std::size_t expected_free) {
    return [=](const Child::Pause& pause) {
      CUcontext context = nullptr;
      CUdeviceptr memory = 0;
      std::size_t free = 0, total = 0;
      if (cuInit(0) != CUDA_SUCCESS || cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
          cuCtxSetCurrent(context) != CUDA_SUCCESS) {
        return 1;
      }
      if (cuMemAlloc(&memory, size) != CUDA_SUCCESS) return 2;
      if (cuMemGetInfo(&free, &total) != CUDA_SUCCESS || free != expected_free) return 3;
      if (cuMemAlloc(&memory, expected_free + 1) != CUDA_ERROR_OUT_OF_MEMORY) return 4;
      pause();
      return 0;
    };
  };
  Child first(allocate(40 * kMebibyte, 24 * kMebibyte));
  first.wait_for_pause();
  Child second(allocate(16 * kMebibyte, 8 * kMebibyte));
  second.wait_for_pause();
  first.go_on();
  EXPECT_EQ(first.end(), 0);
  Child third(allocate(48 * kMebibyte, 0));
  third.wait_for_pause();
  for (Child* child : {&second, &third}) {
    child->go_on();
    EXPECT_EQ(child->end(), 0);
  }
  unsetenv("SIMGPU_MACHINE");
}

}  // namespace
}  // namespace simgpu
