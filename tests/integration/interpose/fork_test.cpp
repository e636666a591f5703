// Processes that a CUDA program makes: what they call is answered by the driver, none of them waits
// for a thread or a lock of its parent's, and the parent goes on.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "gpu_test.h"

extern char** environ;

namespace {

constexpr std::size_t piece = 8 * mebibyte;

// The exit code of a process; -1 when it was killed, as one that hangs is.
int exit_code_of(pid_t process) {
  int status = 0;
  if (process < 0 || waitpid(process, &status, 0) != process || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// Runs `work` in a forked child, which ends as programs do: with exit handlers and destructors.
template <typename Work>
int in_child(Work&& work) {
  const pid_t child = fork();
  if (child != 0) return exit_code_of(child);
  alarm(20);
  std::exit(work());
}

// 0 when every call is answered as a driver answers in the child of a process that uses it.
int calls_in_child(CUdeviceptr region, CUstream stream, CUfunction kernel) {
  std::size_t free = 0, total = 0;
  CUdeviceptr memory = 0;
  std::uint32_t word = 0;
  CUcontext context = nullptr;
  void* host = nullptr;
  CUstream made = nullptr;
  CUgraph graph = nullptr;
  const CUresult answers[] = {
      cuInit(0),
      cuCtxGetCurrent(&context),
      cuDevicePrimaryCtxRetain(&context, 0),
      cuMemGetInfo(&free, &total),
      cuMemAlloc(&memory, piece),
      cuMemAlloc(&memory, 64),
      cuMemAllocHost(&host, 64),
      cuMemcpyDtoH(&word, region, sizeof word),
      cuMemsetD32Async(region, 1, 1, stream),
      cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr),
      cuStreamCreate(&made, 0),
      cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
      cuStreamEndCapture(stream, &graph),
      cuStreamSynchronize(stream),
      cuCtxSynchronize(),
      cuStreamDestroy(stream),
      cuMemFree(region),
      cuDevicePrimaryCtxRelease(0),
  };
  int wrong = 0;
  for (CUresult answer : answers) wrong += answer != CUDA_ERROR_NOT_INITIALIZED;
  return wrong;
}

// Allocates, writes and reads back twice what HBM holds, and sees the limit as the device: 0 when
// all is well.
int use_the_gpu() {
  CUcontext context = nullptr;
  std::size_t free = 0, total = 0;
  if (cuInit(0) != CUDA_SUCCESS || cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
      cuCtxSetCurrent(context) != CUDA_SUCCESS) {
    return 1;
  }
  if (cuMemGetInfo(&free, &total) != CUDA_SUCCESS || total != hbm_limit) return 2;
  std::vector<CUdeviceptr> memory(2 * hbm_limit / piece);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    if (cuMemAlloc(&memory[i], piece) != CUDA_SUCCESS) return 3;
    if (cuMemsetD32(memory[i], static_cast<unsigned>(i), piece / 4) != CUDA_SUCCESS) return 4;
  }
  for (std::size_t i = 0; i < memory.size(); ++i) {
    std::uint32_t last = 0;
    if (cuMemcpyDtoH(&last, memory[i] + piece - 4, 4) != CUDA_SUCCESS || last != i) return 5;
    if (cuMemFree(memory[i]) != CUDA_SUCCESS) return 6;
  }
  return cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS ? 0 : 7;
}

// First: the driver is not in use yet in this process.
TEST(Daemon, IsVirtualisedAfterItForkedTwice) {
  CUdevice device = 0;
  ASSERT_EQ(cuDeviceGet(&device, 0), CUDA_ERROR_NOT_INITIALIZED) << "run this test first";
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(in_child([&] {
              setsid();
              if (fork() != 0) return 0;
              alarm(60);
              const char code = static_cast<char>(use_the_gpu());
              return write(ends[1], &code, 1) == 1 ? 0 : 1;
            }),
            0);
  close(ends[1]);
  char code = 99;
  ASSERT_EQ(read(ends[0], &code, 1), 1) << "the daemon ended without a word";
  EXPECT_EQ(code, 0);
  close(ends[0]);
}

// Second: contexts are announced and withdrawn while vHBM has not started yet. One reference keeps
// the context itself alive.
TEST(EarlyFork, LeavesAChildThatWaitsForNobody) {
  CUcontext kept = nullptr;
  ASSERT_CUDA(cuInit(0));
  ASSERT_CUDA(cuDevicePrimaryCtxRetain(&kept, 0));
  std::atomic<bool> enough{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      CUcontext context = nullptr;
      while (!enough) {
        EXPECT_CUDA(cuDevicePrimaryCtxRetain(&context, 0));
        EXPECT_CUDA(cuDevicePrimaryCtxRelease(0));
      }
    });
  }
  int wrong = 0;
  for (int i = 0; i < 200 && wrong == 0; ++i) {
    wrong = in_child([] {
      return (cuDevicePrimaryCtxRelease(0) != CUDA_ERROR_NOT_INITIALIZED ? 1 : 0) +
             (cuDevicePrimaryCtxReset(0) != CUDA_ERROR_NOT_INITIALIZED ? 2 : 0);
    });
  }
  enough = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0) << "-1 when a child hung";
}

// Memory of which part is host-mapped, so that chunks move while children are made.
class ForkTest : public GpuTest {
 protected:
  ForkTest() {
    for (CUdeviceptr& one : memory_) EXPECT_CUDA(cuMemAlloc(&one, piece));
    for (std::size_t i = 0; i < memory_.size(); ++i) fill(memory_[i], piece, seed(i));
  }
  ~ForkTest() override {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      EXPECT_TRUE(holds(memory_[i], piece, seed(i)));
      EXPECT_CUDA(cuMemFree(memory_[i]));
    }
    EXPECT_EQ(stat("frozen"), 0u);
  }
  static std::uint32_t seed(std::size_t i) { return static_cast<std::uint32_t>(i * 77); }
  std::vector<CUdeviceptr> memory_ = std::vector<CUdeviceptr>(2 * hbm_limit / piece);
};

TEST_F(ForkTest, AChildsCallsAreAnsweredByTheDriver) {
  for (int i = 0; i < 5; ++i) {
    add(memory_[i], piece, 0);
    EXPECT_EQ(in_child([&] { return calls_in_child(memory_[0], stream_, fill_); }), 0);
  }
}

TEST_F(ForkTest, AChildOfManyBusyThreadsWaitsForNoneOfThem) {
  std::atomic<bool> enough{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      while (!enough) {
        CUdeviceptr mine = 0, small = 0;
        CUstream stream = nullptr;
        EXPECT_CUDA(cuMemAlloc(&mine, 2 * mebibyte));
        EXPECT_CUDA(cuMemFree(mine));
        EXPECT_CUDA(cuMemAlloc(&small, 4096));
        EXPECT_CUDA(cuMemFree(small));
        EXPECT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
        EXPECT_CUDA(cuMemsetD32Async(memory_[t], seed(t), 1, stream));
        EXPECT_CUDA(cuStreamDestroy(stream));
      }
    });
  }
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(in_child([&] { return calls_in_child(memory_[0], stream_, fill_); }), 0) << i;
  }
  enough = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ForkTest, AProgramStartedByAnyMeansHasItsOwnGpu) {
  char program[] = CUDA_PROGRAM, size[] = "64";
  char* const arguments[] = {program, size, nullptr};
  EXPECT_EQ(in_child([&] { return execv(program, arguments); }), 0) << "fork and exec";
  const pid_t vforked = vfork();
  if (vforked == 0) {
    execv(program, arguments);
    _exit(127);
  }
  EXPECT_EQ(exit_code_of(vforked), 0) << "vfork";
  pid_t spawned = -1;
  ASSERT_EQ(posix_spawn(&spawned, program, nullptr, nullptr, arguments, environ), 0);
  EXPECT_EQ(exit_code_of(spawned), 0) << "posix_spawn";
  EXPECT_EQ(std::system(CUDA_PROGRAM " 16 > /dev/null"), 0);
}

}  // namespace
