// Work in flight that waits for somebody whom the closed gate holds back: the flip is given up, the
// program goes on, and every byte is right.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "simgpu/gpu_image.h"
#include "stress_kernels.h"
#include "tests/integration/interpose/gpu_test.h"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t piece = 8 * mebibyte;
constexpr std::size_t pieces = 2 * hbm_limit / piece;
constexpr std::uint64_t enough = 3;  // flips given up

// Twice what HBM holds; each use is of another piece, so that there is always something to move.
class Deadlock : public GpuTest {
 protected:
  Deadlock() {
    for (std::size_t i = 0; i < pieces; ++i) {
      EXPECT_CUDA(cuMemAlloc(&memory_[i], piece));
      fill(memory_[i], piece, static_cast<std::uint32_t>(i));
    }
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  }
  ~Deadlock() override {
    for (std::size_t i = 0; i < pieces; ++i) {
      EXPECT_TRUE(holds(memory_[i], piece, static_cast<std::uint32_t>(i), added_[i]));
      EXPECT_CUDA(cuMemFree(memory_[i]));
    }
    EXPECT_EQ(stat("frozen"), 0u);
    EXPECT_EQ(stat("driver_errors"), 0u);
  }

  void use_next() {
    const std::size_t which = uses_++ % pieces;
    add(memory_[which], piece, 1);
    ++added_[which];
  }
  // Goes on until enough flips were given up; false after `patience`.
  template <typename Round>
  bool until_given_up(Round&& round) {
    const std::uint64_t before = stat("flips_abandoned_deadline");
    const auto end = Clock::now() + 60s;
    while (stat("flips_abandoned_deadline") < before + enough) {
      if (Clock::now() > end) return false;
      round();
    }
    return true;
  }

  std::array<CUdeviceptr, pieces> memory_{};
  std::array<std::uint32_t, pieces> added_{};
  std::size_t uses_ = 0;
};

TEST_F(Deadlock, AHostFunctionWaitsForAThreadThatWaitsAtTheGate) {
  struct Meeting {
    std::atomic<std::uint64_t> submitted{0};
    std::atomic<bool> stop{false};
  } meeting;
  std::thread submitter([&] {
    CUstream stream = nullptr;
    CUdeviceptr word = 0;
    ASSERT_CUDA(cuCtxSetCurrent(context_));
    ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ASSERT_CUDA(cuMemAlloc(&word, 4));
    while (!meeting.stop) {
      EXPECT_CUDA(cuMemsetD32Async(word, 1, 1, stream));
      ++meeting.submitted;
      std::this_thread::sleep_for(100us);
    }
    EXPECT_CUDA(cuStreamSynchronize(stream));
    EXPECT_CUDA(cuMemFree(word));
    EXPECT_CUDA(cuStreamDestroy(stream));
  });
  // A stream that ends only when the other thread got through the gate many times: in that time a
  // flip closes it.
  const auto wait_for_submissions = [](void* of) {
    auto& meeting = *static_cast<Meeting*>(of);
    const std::uint64_t last = meeting.submitted + 30;
    while (meeting.submitted < last && !meeting.stop) std::this_thread::sleep_for(50us);
  };
  EXPECT_TRUE(until_given_up([&] {
    use_next();
    EXPECT_CUDA(cuLaunchHostFunc(stream_, wait_for_submissions, &meeting));
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  }));
  meeting.stop = true;
  submitter.join();
}

// What two processes share: one counter for each side of each of two meetings.
struct Shared {
  static constexpr int meetings = 2;
  std::array<std::array<unsigned, 2>, meetings> counters;
  std::atomic<int> done;  // sides that have seen enough
};

constexpr const char* shared_variable = "STRESS_PEER_SHARED";  // a descriptor
constexpr const char* side_variable = "STRESS_PEER_SIDE";      // 0 or 1

class Peer : public Deadlock {};

// One of the two processes; started by the test below.
TEST_F(Peer, DISABLED_MeetsTheOther) {
  ASSERT_NE(std::getenv(shared_variable), nullptr);
  const std::size_t side = std::atoi(std::getenv(side_variable)), other = 1 - side;
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                      std::atoi(std::getenv(shared_variable)), 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* shared = static_cast<Shared*>(memory);
  ASSERT_CUDA(cuMemHostRegister(memory, 4096, CU_MEMHOSTREGISTER_DEVICEMAP));
  CUmodule module = nullptr;
  CUfunction meet = nullptr;
  ASSERT_CUDA(gpu_image::load(stress_kernels_images(), &module));
  ASSERT_CUDA(cuModuleGetFunction(&meet, module, "meet"));
  std::array<CUstream, Shared::meetings> streams{};
  for (CUstream& stream : streams) ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));

  // Each side begins with another meeting, so a gate that closes between the two holds back what
  // the other side's work in flight waits for, and it may be the same over there.
  bool told = false;
  const std::uint64_t before = stat("flips_abandoned_deadline");
  const auto end = Clock::now() + 60s;
  unsigned round = 0;
  const unsigned last = 1u << 30;
  while (shared->done < 2 && Clock::now() < end) {
    ++round;
    use_next();
    for (std::size_t i = 0; i < Shared::meetings; ++i) {
      const std::size_t which = (i + side) % Shared::meetings;
      auto& counters = shared->counters[which];
      unsigned *mine = &counters[side], *theirs = &counters[other];
      void* parameters[] = {&mine, &theirs, &round};
      ASSERT_CUDA(cuLaunchKernel(meet, 1, 1, 1, 1, 1, 1, 0, streams[which], parameters, nullptr));
      std::this_thread::sleep_for(2ms);
    }
    if (!told && stat("flips_abandoned_deadline") >= before + enough) {
      told = true;
      ++shared->done;
    }
    if (shared->done == 2) break;
    for (CUstream stream : streams) ASSERT_CUDA(cuStreamSynchronize(stream));
  }
  // Lets the other side's last work end.
  for (auto& counters : shared->counters) std::atomic_ref(counters[side]).store(last);
  for (CUstream stream : streams) {
    EXPECT_CUDA(cuStreamSynchronize(stream));
    EXPECT_CUDA(cuStreamDestroy(stream));
  }
  EXPECT_TRUE(told) << stat("flips_abandoned_deadline") << " flips were given up in " << round
                    << " rounds";
  EXPECT_CUDA(cuMemHostUnregister(memory));
  EXPECT_CUDA(cuModuleUnload(module));
  munmap(memory, 4096);
}

TEST(Deadlocks, KernelsOfTwoProcessesWaitForEachOther) {
  const int shared = memfd_create("peers", 0);
  ASSERT_EQ(ftruncate(shared, 4096), 0);
  std::array<pid_t, 2> peers{};
  for (std::size_t side = 0; side < 2; ++side) {
    peers[side] = fork();
    if (peers[side] != 0) continue;
    setenv(shared_variable, std::to_string(shared).c_str(), 1);
    setenv(side_variable, std::to_string(side).c_str(), 1);
    execl("/proc/self/exe", "deadlock_test", "--gtest_also_run_disabled_tests",
          "--gtest_filter=Peer.DISABLED_MeetsTheOther", nullptr);
    _exit(127);
  }
  for (const pid_t peer : peers) {
    int status = 0;
    EXPECT_EQ(waitpid(peer, &status, 0), peer);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  close(shared);
}

}  // namespace
