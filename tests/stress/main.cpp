// stress [--seed N] [--seconds S] [--threads N] [--memory MiB] [--without OPERATION]...: presses a
// process that vHBM pages, under the simulated GPU's scheduling fuzzer, and compares all bytes.
// Started with libvhbm.so preloaded and VHBM_HBM_LIMIT far below --memory; see run.sh. Exit code 0:
// all was right and pages moved. 1: harm was done to bytes, or an error seen. 2: nothing was tried.
// 3: something hung.
#include <dlfcn.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "application.h"
#include "harm.h"
#include "runtime/stats_reader.h"

namespace stress {
namespace {

using Clock = std::chrono::steady_clock;

struct Run {
  std::uint64_t seed = std::random_device{}();
  double seconds = 5;
  unsigned threads = 4;
  std::size_t memory = 128;  // MiB
  unsigned intensity = 5;
  unsigned patience = 60;  // seconds after the end
  std::vector<std::string> without;

  [[nodiscard]] Application::Weights weights() const {
    Application::Weights all;
    for (const OperationRow& row : operation_rows) {
      const bool left_out = std::find(without.begin(), without.end(), row.name) != without.end();
      all.push_back(left_out ? 0 : row.weight);
    }
    return all;
  }
};

constexpr std::chrono::milliseconds between_looks{100};

std::optional<vhbm::StatsSnapshot> statistics() {
  const char* directory = std::getenv("VHBM_STATE_DIR");
  for (const auto& one :
       vhbm::read_live_stats(vhbm::state_directory(directory == nullptr ? "" : directory))) {
    if (one.pid == getpid()) return one;
  }
  return std::nullopt;
}

// All threads of one run. The first harm stops them all.
class Crowd {
 public:
  explicit Crowd(const Run& run) : run_(run), progress_(run.threads) {
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(run.seconds));
    for (unsigned i = 0; i < run.threads; ++i) {
      threads_.emplace_back([this, i, end] { work(i, end); });
    }
  }

  // What went wrong, or nothing. Ends the process where threads hang.
  std::string wait() {
    std::unique_lock lock(mutex_);
    const auto end = Clock::now() + std::chrono::duration<double>(run_.seconds + run_.patience);
    while (!ended_.wait_for(lock, between_looks, [&] { return running_ == 0; }) &&
           Clock::now() < end) {
      look_whether_frozen();
    }
    if (running_ != 0) {
      std::string doing;
      for (const Progress& one : progress_) {
        doing += std::string(" ") + operation_rows[static_cast<std::size_t>(one.now.load())].name;
      }
      std::printf("hang: %u of %u threads did not end; they are at%s\n", running_, run_.threads,
                  doing.c_str());
      std::fflush(stdout);
      _exit(harm_.empty() ? 3 : 1);
    }
    lock.unlock();
    for (std::thread& thread : threads_) thread.join();
    return harm_;
  }

  [[nodiscard]] std::uint64_t done(std::size_t operation) const {
    std::uint64_t sum = 0;
    for (const Progress& one : progress_) sum += one.done[operation];
    return sum;
  }
  [[nodiscard]] std::uint64_t checked_bytes() const {
    std::uint64_t sum = 0;
    for (const Progress& one : progress_) sum += one.checked_bytes;
    return sum;
  }

 private:
  // Nothing can be tried any more, and what made vHBM freeze was harm enough.
  void look_whether_frozen() {
    const auto stats = statistics();
    if (stop_ || !stats || (*stats)[vhbm::Stat::frozen] == 0) return;
    stop_ = true;
    harm_ = "vHBM froze";
    std::printf("harm: %s\n", harm_.c_str());
    std::fflush(stdout);
  }
  void work(unsigned index, Clock::time_point end) {
    std::string harm;
    try {
      // Every other thread shares the primary context; the rest have contexts of their own.
      Application application(run_.seed * 1000 + index, index % 2 != 0,
                              (run_.memory << 20) / run_.threads, run_.weights(), progress_[index]);
      application.run(end, stop_);
    } catch (const std::exception& error) {
      harm = error.what();
    }
    std::lock_guard lock(mutex_);
    if (!harm.empty()) {
      stop_ = true;
      if (harm_.empty()) {
        harm_ = "thread " + std::to_string(index) + ": " + harm;
        std::printf("harm: %s\n", harm_.c_str());
        std::fflush(stdout);
      }
    }
    --running_;
    ended_.notify_all();
  }

  const Run run_;
  std::vector<Progress> progress_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  unsigned running_ = run_.threads;
  std::string harm_;
  std::vector<std::thread> threads_;
};

// What must hold at the end beside the bytes; empty when it does.
std::string judge(const vhbm::StatsSnapshot& stats) {
  using vhbm::Stat;
  if (stats[Stat::flips] == 0) return "no page ever moved, so nothing was tried";
  if (stats[Stat::frozen] != 0) return "vHBM froze";
  if (stats[Stat::driver_errors] != 0) return "driver calls of vHBM failed";
  if (stats[Stat::peak_hbm_bytes] > stats[Stat::hbm_limit]) return "hbm_limit was exceeded";
  return stats[Stat::regions] != 0 ? "regions are left that were freed" : "";
}

void print_summary(const Run& run, const Crowd& crowd, const vhbm::StatsSnapshot& stats) {
  using vhbm::Stat;
  std::printf("seed %llu:", static_cast<unsigned long long>(run.seed));
  for (std::size_t i = 0; i < operation_count; ++i) {
    std::printf(" %s %llu", operation_rows[i].name, static_cast<unsigned long long>(crowd.done(i)));
  }
  const auto mib = [&](std::uint64_t bytes) {
    return static_cast<unsigned long long>(bytes >> 20);
  };
  const auto count = [&](Stat stat) { return static_cast<unsigned long long>(stats[stat]); };
  std::printf(
      "; checked %llu MiB; %llu flips, %llu given up at the deadline, %llu for captures; "
      "in %llu MiB, out %llu MiB; peak HBM %llu of %llu MiB\n",
      mib(crowd.checked_bytes()), count(Stat::flips), count(Stat::flips_abandoned_deadline),
      count(Stat::flips_abandoned_capture), mib(stats[Stat::promoted_bytes]),
      mib(stats[Stat::evicted_bytes]), mib(stats[Stat::peak_hbm_bytes]),
      mib(stats[Stat::hbm_limit]));
}

int run_all(const Run& run) {
  // Read by the simulated driver when it starts; a real one is late as it likes.
  const std::string fuzz = std::to_string(run.seed) + ":" + std::to_string(run.intensity);
  setenv("SIMGPU_FUZZ", fuzz.c_str(), 1);
  std::printf("stress --seed %llu --seconds %g --threads %u --memory %zu\n",
              static_cast<unsigned long long>(run.seed), run.seconds, run.threads, run.memory);
  std::fflush(stdout);
  // Kept, so that the primary context outlives each thread's use of it.
  CUdevice device = 0;
  CUcontext primary = nullptr;
  STRESS_CHECK(cuInit(0));
  STRESS_CHECK(cuDeviceGet(&device, 0));
  STRESS_CHECK(cuDevicePrimaryCtxRetain(&primary, device));
  Crowd crowd(run);
  const std::string harm = crowd.wait();
  const auto stats = statistics();
  if (!stats) {
    std::printf("this process is not paged: preload libvhbm.so\n");
    return 2;
  }
  print_summary(run, crowd, *stats);
  if (!harm.empty()) return 1;
  const std::string verdict = judge(*stats);
  if (!verdict.empty()) std::printf("failed: %s\n", verdict.c_str());
  STRESS_CHECK(cuDevicePrimaryCtxRelease(device));
  return verdict.empty() ? 0 : 1;
}

}  // namespace
}  // namespace stress

int main(int argc, char** argv) {
  stress::Run run;
  CLI::App app("Presses a paged process and compares all bytes");
  app.add_option("--seed", run.seed, "Of all random choices (a random one when absent)");
  app.add_option("--seconds", run.seconds, "How long it works before the last comparison");
  app.add_option("--threads", run.threads)->check(CLI::Range(1, 64));
  app.add_option("--memory", run.memory, "MiB that all threads together keep");
  app.add_option("--intensity", run.intensity, "Percent of the fuzzer's points that are late")
      ->check(CLI::Range(1, 100));
  std::vector<std::string> names;
  for (const auto& row : stress::operation_rows) names.emplace_back(row.name);
  app.add_option("--without", run.without, "An operation to leave out, to find what did harm")
      ->check(CLI::IsMember(names));
  CLI11_PARSE(app, argc, argv);
  try {
    return stress::run_all(run);
  } catch (const std::exception& error) {
    std::printf("harm: %s\n", error.what());
    return 1;
  }
}
