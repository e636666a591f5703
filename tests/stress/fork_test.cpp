// A paging server has children, with and without exec, at any moment of a flip: the child is inert,
// and the parent goes on.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "runtime/stats_reader.h"
#include "tests/integration/interpose/gpu_test.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;
constexpr std::size_t pieces = 2 * hbm_limit / piece;

// Exit codes of children: what went wrong in one.
enum : int { right = 0, has_threads = 10, counts_as_the_parent };

class Forking : public GpuTest {
 protected:
  Forking() {
    for (std::size_t i = 0; i < pieces; ++i) {
      EXPECT_CUDA(cuMemAlloc(&memory_[i], piece));
      fill(memory_[i], piece, static_cast<std::uint32_t>(i));
    }
  }
  ~Forking() override {
    for (CUdeviceptr one : memory_) EXPECT_CUDA(cuMemFree(one));
    EXPECT_EQ(stat("frozen"), 0u);
    EXPECT_EQ(stat("driver_errors"), 0u);
  }

  // Uses one half of memory and then the other, so that pages move, and has a child each time.
  void have_children(int (*child)(), int times) {
    const std::uint64_t flips = stat("flips");
    std::array<std::uint32_t, pieces> added{};
    for (int i = 0; i < times || (stat("flips") == flips && i < 1000); ++i) {
      for (std::size_t p = i % 2 == 0 ? 0 : pieces / 2, left = pieces / 2; left > 0; ++p, --left) {
        add(memory_[p], piece, 1);
        ++added[p];
      }
      std::this_thread::sleep_for(std::chrono::microseconds(500 * (i % 16)));
      const pid_t pid = fork();
      if (pid == 0) _exit(child());
      int status = -1;
      ASSERT_EQ(waitpid(pid, &status, 0), pid);
      EXPECT_TRUE(WIFEXITED(status)) << status;
      EXPECT_EQ(WEXITSTATUS(status), right) << "child " << i;
      EXPECT_CUDA(cuStreamSynchronize(stream_));
    }
    EXPECT_GT(stat("flips"), flips);
    for (std::size_t i = 0; i < pieces; ++i) {
      EXPECT_TRUE(holds(memory_[i], piece, static_cast<std::uint32_t>(i), added[i])) << i;
    }
  }

  std::array<CUdeviceptr, pieces> memory_{};
};

constexpr std::uint64_t absent = ~std::uint64_t{0};

// A statistic of another process, or `absent` when it shares none.
std::uint64_t stat_of(pid_t pid, const std::string& name) {
  for (const auto& one : vhbm::read_live_stats(std::getenv("VHBM_STATE_DIR"))) {
    if (one.pid != pid) continue;
    for (std::size_t i = 0; i < vhbm::stat_count; ++i) {
      if (name == vhbm::stat_rows[i].name) return one.values[i];
    }
  }
  return absent;
}

std::size_t threads() {
  std::size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    count += task.is_directory() ? 1 : 0;
  }
  return count;
}

TEST_F(Forking, AChildWithoutExecIsInert) {
  have_children(
      [] {
        // A driver's own functions are undefined in a forked child, but asking is common.
        CUcontext current = nullptr;
        (void)cuCtxGetCurrent(&current);
        const std::uint64_t flips = stat_of(getppid(), "flips");
        std::vector<char> memory(piece, 'x');
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        if (memory[piece / 2] != 'x' || threads() != 1) return static_cast<int>(has_threads);
        // The file of the parent stays the parent's alone.
        const bool counts = stat_of(getpid(), "flips") != absent || flips == absent;
        return static_cast<int>(counts ? counts_as_the_parent : right);
      },
      16);
}

TEST_F(Forking, AChildThatEndsByExitLeavesTheParentsStatistics) {
  have_children(
      [] {
        std::exit(right);  // runs what is registered for the end of a process
        return static_cast<int>(right);
      },
      8);
}

TEST_F(Forking, AChildThatExecsIsAProcessOfItsOwn) {
  have_children(
      [] {
        execl(CUDA_PROGRAM, CUDA_PROGRAM, "64", nullptr);
        return 127;
      },
      6);
}

}  // namespace
