// faulted_program start | run FUNCTION | lost | exhausted: what becomes of a paged program, and of
// vHBM's books, on a simulated driver whose calls fail. Exit code 0: all bytes were right or an
// error was answered, nothing was left behind, and vHBM pages as before. 1: not so; standard output
// says what. Prints how often calls failed as "struck N".
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "runtime/stats_reader.h"
#include "tolerant_program.h"

namespace stress {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using vhbm::Stat;

// For what vHBM tries again later.
constexpr std::chrono::seconds settling{3};

// vHBM's own books; nothing where it did not start.
std::optional<vhbm::StatsSnapshot> statistics() {
  const char* directory = std::getenv("VHBM_STATE_DIR");
  for (const auto& one : vhbm::read_live_stats(directory == nullptr ? "" : directory)) {
    if (one.pid == getpid()) return one;
  }
  return std::nullopt;
}

std::uint64_t limits(const vhbm::StatsSnapshot& stats) {
  return stats[Stat::hbm_limit] + stats[Stat::host_limit];
}

// What is wrong with the books after all was freed; empty when nothing is.
std::string wrong_in_books() {
  SimgpuMemory memory{};
  SIMULATOR(simgpu_memory)(0, &memory);
  const auto stats = statistics();
  std::string wrong;
  const auto expect = [&](const char* what, std::uint64_t is, std::uint64_t expected) {
    if (is == expected) return;
    wrong += std::string(what) + " is " + std::to_string(is) + ", not " + std::to_string(expected) +
             "; ";
  };
  expect("HBM in use", memory.hbm_used, stats ? (*stats)[Stat::hbm_bytes] : 0);
  expect("host memory in use", memory.host_used, stats ? (*stats)[Stat::host_bytes] : 0);
  if (!stats) return wrong;
  for (const Stat stat :
       {Stat::regions, Stat::region_bytes, Stat::resident_bytes, Stat::host_mapped_bytes,
        Stat::clean_copy_bytes, Stat::native_bytes, Stat::refused_bytes}) {
    expect(vhbm::stat_rows[static_cast<std::size_t>(stat)].name, (*stats)[stat], 0);
  }
  return wrong;
}

void expect_good_books() {
  const auto end = Clock::now() + settling;
  for (;;) {
    const std::string wrong = wrong_in_books();
    if (wrong.empty()) return;
    if (Clock::now() >= end) throw Harm("after all was freed: " + wrong);
    std::this_thread::sleep_for(1ms);
  }
}

// vHBM does all that it did before: it moves chunks, and knows those that did not change.
void expect_paging(TolerantProgram& program) {
  const auto before = statistics();
  if (!before) return;
  const bool works = program.read_until([&] {
    const auto now = statistics();
    return (*now)[Stat::promoted_bytes] > (*before)[Stat::promoted_bytes] &&
           (*now)[Stat::evicted_bytes] > (*before)[Stat::evicted_bytes] &&
           (*now)[Stat::clean_evicted_bytes] > (*before)[Stat::clean_evicted_bytes];
  });
  if ((*statistics())[Stat::frozen] != 0) throw Harm("a failed call froze vHBM");
  if (!works) throw Harm("after a failed call vHBM pages no more as before");
}

// As much can be had as both limits say: nothing was lost on the way.
void expect_all_memory() {
  const auto stats = statistics();
  if (!stats) return;
  const std::size_t all = limits(*stats) / TolerantProgram::piece;
  Plan none;
  TolerantProgram program(none);
  while (program.buffers() < all && program.try_to_add_buffer()) {
  }
  if (program.buffers() != all) {
    throw Harm("only " + std::to_string(program.buffers()) + " of " + std::to_string(all) +
               " buffers can be had");
  }
  program.check_all();
  program.end();
}

enum class Fault { while_working, while_paging, while_ending };
constexpr const char* fault_names[] = {"", ", while paging", ", while ending"};
enum class Calls { few, all };  // that fail; after all did, vHBM may have given up, but only itself

// How many calls failed.
unsigned long long run_once(const std::string& faults, Fault when, Calls which = Calls::few) {
  Plan plan;
  if (when == Fault::while_working) plan.set(faults);
  TolerantProgram program(plan);
  program.work();
  if (when == Fault::while_paging) {
    plan.set(faults);
    program.page();
  }
  unsigned long long struck = Plan::count();
  plan.set("");
  if (which == Calls::few && struck != 0) expect_paging(program);
  // A driver that never pops a context leaves it where it is.
  if (which == Calls::all) program.make_current();
  program.check_all();
  program.use_once_more();
  if (when == Fault::while_ending) plan.set(faults);
  program.end();
  if (when == Fault::while_ending) struck = Plan::count();
  plan.set("");
  expect_good_books();
  return struck;
}

// SIMGPU_FAULTS holds the plan.
void start() {
  const char* faults = std::getenv("SIMGPU_FAULTS");
  std::printf("struck %llu\n", run_once(faults == nullptr ? "" : faults, Fault::while_working));
  expect_all_memory();
}

void run(const std::string& function) {
  constexpr CUresult errors[] = {CUDA_ERROR_OPERATING_SYSTEM, CUDA_ERROR_OUT_OF_MEMORY,
                                 CUDA_ERROR_UNKNOWN};
  unsigned long long struck = 0;
  unsigned cases = 0;
  const auto one = [&](const std::string& calls, Fault when, Calls which = Calls::few) {
    const CUresult error = errors[cases++ % std::size(errors)];
    const std::string plan = function + ":" + calls + "=" + std::to_string(error);
    try {
      const unsigned long long now = run_once(plan, when, which);
      struck += now;
      return now != 0;
    } catch (const Harm& harm) {
      throw Harm(plan + fault_names[static_cast<int>(when)] + ": " + harm.what());
    }
  };
  // vHBM starts with the first context, unharmed.
  (void)run_once("", Fault::while_working);
  if (!statistics()) throw Harm("this process is not paged: preload libvhbm.so");
  for (const char* calls : {"1", "2", "3", "10", "1-2"}) {
    if (!one(calls, Fault::while_working)) break;  // it does not come that often
  }
  for (const char* calls : {"1", "2", "1-2"}) {
    if (!one(calls, Fault::while_paging)) break;
  }
  one("1", Fault::while_ending);
  expect_all_memory();
  one("1+", Fault::while_working, Calls::all);
  std::printf("struck %llu\n", struck);
}

// The GPU is lost at several moments. The program is told so, and goes on in a new context.
void lose() {
  (void)run_once("", Fault::while_working);
  for (const char* pieces_of_work : {"1", "20", "50", "90"}) {
    const bool last = pieces_of_work == std::string("90");
    Plan plan;
    plan.set(std::string("device_lost:") + pieces_of_work);
    TolerantProgram program(plan);
    std::string error;
    try {
      for (const auto end = Clock::now() + 10s; Clock::now() < end;) {
        program.work();
        program.check_all();
      }
    } catch (const Harm& harm) {
      error = harm.what();
    }
    if (error.find("CUDA_ERROR_LAUNCH_FAILED") == std::string::npos) {
      throw Harm("the program was not told that the GPU is lost, but: '" + error + "'");
    }
    // The last time vHBM has given up before the program does.
    const auto end = Clock::now() + settling;
    while (last && (*statistics())[Stat::frozen] == 0) {
      if (Clock::now() >= end) throw Harm("a lost GPU did not freeze vHBM");
      program.go_on_regardless();  // so that there is something to move
      std::this_thread::sleep_for(1ms);
    }
    plan.set("");
    program.give_up();
    expect_good_books();
    (void)run_once("", Fault::while_working);
    expect_all_memory();
  }
}

std::size_t buffers_that_can_be_had() {
  Plan none;
  TolerantProgram program(none);
  while (program.try_to_add_buffer()) {
  }
  program.check_all();
  const std::size_t had = program.buffers();
  program.free_all();
  program.use_once_more();
  program.end();
  expect_good_books();
  return had;
}

// The driver has less host memory than host_limit says, and at first next to none.
void exhaust() {
  Plan plan;
  plan.set("cuMemCreate:6+=2");
  const std::size_t few = buffers_that_can_be_had();
  plan.set("");
  const std::size_t all = buffers_that_can_be_had();
  const std::size_t again = buffers_that_can_be_had();
  const auto stats = statistics();
  if (!stats) throw Harm("this process is not paged: preload libvhbm.so");
  if (few == 0 || few >= all || all != again || all * TolerantProgram::piece >= limits(*stats)) {
    throw Harm("had " + std::to_string(few) + ", then " + std::to_string(all) + ", then " +
               std::to_string(again) + " buffers");
  }
}

}  // namespace
}  // namespace stress

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    STRESS_CHECK(cuInit(0));
    if (what == "start") {
      stress::start();
    } else if (what == "run" && argc == 3) {
      stress::run(argv[2]);
    } else if (what == "lost") {
      stress::lose();
    } else if (what == "exhausted") {
      stress::exhaust();
    } else {
      throw stress::Harm("usage: faulted_program start | run FUNCTION | lost | exhausted");
    }
  } catch (const stress::Harm& harm) {
    std::printf("failed: %s\n", harm.what());
    return 1;
  }
  return 0;
}
