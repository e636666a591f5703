// Each driver call that the runtime makes fails once, at its first and at later calls: the bytes
// are right or the application gets an error, what comes next works, and nothing is left behind.
#include <dlfcn.h>

#include <array>
#include <ostream>
#include <thread>

#include "policies/policy.h"
#include "runtime/address_space.h"
#include "simgpu/control.h"
#include "tests/unit/runtime/test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

enum Call : int {
#define DRIVER(need, symbol) symbol##_call,
#include "runtime/driver.def"
#undef DRIVER
  calls,
  no_call = calls,
};

constexpr std::array<const char*, calls> call_names = {
#define DRIVER(need, symbol) #symbol,
#include "runtime/driver.def"
#undef DRIVER
};

// The one call that fails. Any thread makes it.
struct Planned {
  std::atomic<int> call{no_call};
  std::atomic<long> left{0};  // calls before the one that fails
  std::atomic<bool> struck{false};

  void arm(int which, long nth) {
    call = no_call;
    struck = false;
    left = nth - 1;
    call = which;
  }
  void disarm() { call = no_call; }
  [[nodiscard]] bool strikes(int which) {
    if (call != which || left.fetch_sub(1) != 0) return false;
    struck = true;
    return true;
  }
};

Planned& planned() {
  static Planned one;
  return one;
}

// A function in front of each of the driver's.
template <int call, auto entry, typename Function>
struct InFront;
template <int call, auto entry, typename... P>
struct InFront<call, entry, CUresult(CUDAAPI*)(P...)> {
  static CUresult CUDAAPI function(P... arguments) {
    if (planned().strikes(call)) return CUDA_ERROR_INVALID_VALUE;
    return (real_driver().*entry)(arguments...);
  }
};

Driver driver_with_faults() {
  Driver table;
#define DRIVER(need, symbol)                                                                   \
  if (real_driver().symbol != nullptr) {                                                       \
    table.symbol = &InFront<symbol##_call, &Driver::symbol, decltype(table.symbol)>::function; \
  }
#include "runtime/driver.def"
#undef DRIVER
  return table;
}

struct MemoryInUse {
  unsigned long long hbm, host;
  bool operator==(const MemoryInUse&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const MemoryInUse& memory) {
    return out << memory.hbm << " bytes of HBM, " << memory.host << " of host memory";
  }
};

MemoryInUse memory_in_use() {
  static const auto ask =
      reinterpret_cast<decltype(&simgpu_memory)>(dlsym(RTLD_DEFAULT, "simgpu_memory"));
  SimgpuMemory memory{};
  ask(0, &memory);
  return {memory.hbm_used, memory.host_used};
}

constexpr Bytes region_size = mib(4);

constexpr long at_start = 0, at_end = -1;

std::string name_of(long nth) {
  if (nth == at_start) return "at the start";
  return nth == at_end ? "at the end" : "call " + std::to_string(nth);
}

class FaultAt : public PagerTest, public ::testing::WithParamInterface<int> {
 protected:
  FaultAt() {
    planned().disarm();
    driver_ = driver_with_faults();
  }
  ~FaultAt() override { planned().disarm(); }

  // Whether the fault struck.
  bool one_run(int call, long nth);
  // What an application does, until the fault has struck or there is nothing left to try.
  void work();
  void use_another_context();
  void use_a_stream_that_goes();
  // Fills a new region and reads it back; an allocation that fails must say so and do no more.
  void use_new_region(std::uint32_t seed);
  void expect_all_bytes();

  struct Filled {
    DeviceAddress address;
    std::uint32_t seed;
  };
  std::vector<Filled> regions_;
  // With calls that may come late or never.
  static constexpr std::chrono::milliseconds patience{150};
};

void FaultAt::use_new_region(std::uint32_t seed) {
  const auto made = runtime_->allocate(region_size);
  if (!made.ok()) {
    EXPECT_FALSE(made.status().message().empty());
    return;
  }
  fill(*made, region_size, seed);
  EXPECT_TRUE(holds(*made, region_size, seed));
  regions_.push_back({*made, seed});
}

void FaultAt::use_another_context() {
  CUcontext other = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr word = 0;
  ASSERT_CUDA(cuCtxCreate(&other, nullptr, 0, device_));
  runtime_->context_created(other);
  ASSERT_CUDA(cuMemAlloc(&word, 4096));
  ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
  runtime_->stream_created(other, stream);
  {
    const auto pass = runtime_->gate().pass();
    EXPECT_CUDA(cuMemsetD8Async(word, 1, 4096, stream));
  }
  runtime_->context_destroyed(other);
  ASSERT_CUDA(cuCtxDestroy(other));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
}

void FaultAt::use_a_stream_that_goes() {
  CUstream stream = nullptr;
  ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  runtime_->stream_created(context_, stream);
  Blockade blockade(stream);
  runtime_->stream_destroyed(stream);
  ASSERT_CUDA(cuStreamDestroy(stream));
  blockade.release();
}

void FaultAt::expect_all_bytes() {
  for (const Filled& region : regions_) {
    EXPECT_TRUE(holds(region.address, region_size, region.seed)) << "region " << region.seed;
  }
}

void FaultAt::work() {
  for (std::uint32_t seed = 0; seed < 4; ++seed) use_new_region(seed);
  std::uint32_t seed = 10;
  const bool fault_may_come = planned().call != no_call;
  const auto end = std::chrono::steady_clock::now() + (fault_may_come ? patience : 10ms);
  while (!planned().struck && std::chrono::steady_clock::now() < end) {
    use_another_context();
    use_a_stream_that_goes();
    for (int i = 0; i < 10 && !regions_.empty(); ++i) {
      runtime_->named(regions_[static_cast<std::size_t>(i) % regions_.size()].address);
      std::this_thread::sleep_for(1ms);
    }
    // Room for something native, which costs pooled frames.
    runtime_->native_allocated(mib(2));
    runtime_->native_freed(0, mib(2));
    if (!regions_.empty()) {
      const Filled gone = regions_.front();
      regions_.erase(regions_.begin());
      (void)runtime_->free(gone.address);  // may say that the driver failed
    }
    use_new_region(seed++);
  }
}

bool FaultAt::one_run(int call, long nth) {
  const std::string what =
      std::string(call_names[static_cast<std::size_t>(call)]) + ", " + name_of(nth);
  SCOPED_TRACE(what);
  const MemoryInUse before = memory_in_use();
  const Options limits = options(10, 64);
  if (nth == at_start) {
    planned().arm(call, 1);
    auto started = Runtime::start(driver_, limits, {find_policy("lru")->plan, nullptr});
    if (started.ok()) {
      started->reset();
    } else {
      EXPECT_FALSE(started.status().message().empty());
    }
    planned().disarm();
    EXPECT_EQ(memory_in_use(), before);
    planned().struck = false;
  }
  start(limits);
  if (nth > 0) planned().arm(call, nth);
  work();
  planned().disarm();
  expect_all_bytes();
  use_new_region(99);
  for (const Filled& region : regions_) EXPECT_TRUE(runtime_->free(region.address).ok());
  regions_.clear();
  const bool frozen = stat(Stat::frozen) != 0;
  if (nth == at_end) planned().arm(call, 1);
  finish();
  planned().disarm();
  EXPECT_EQ(memory_in_use(), before);
  EXPECT_FALSE(frozen);
  if (HasFailure() || std::getenv("STRESS_TELL") != nullptr) {
    std::printf("%s: %s%s\n", what.c_str(), planned().struck ? "struck" : "not reached",
                frozen ? ", frozen" : "");
  }
  return planned().struck;
}

TEST_P(FaultAt, HarmsNoByteAndLeavesNothing) {
  one_run(GetParam(), at_start);
  one_run(GetParam(), at_end);
  for (const long nth : {1L, 2L, 5L, 20L}) {
    if (!one_run(GetParam(), nth)) break;  // it does not come that often
  }
}

class FaultyPop : public PagerTest {
 protected:
  FaultyPop() { driver_ = driver_with_faults(); }
  ~FaultyPop() override { planned().disarm(); }
};

TEST_F(FaultyPop, LeavesTheApplicationsThreadInItsContext) {
  Options limits = options(10, 64);
  limits.pager_interval = std::chrono::hours(1);  // so that all calls are this thread's
  start(limits);
  CUcontext other = nullptr, current = nullptr;
  ASSERT_CUDA(cuCtxCreate(&other, nullptr, 0, device_));
  runtime_->context_created(other);
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  bool struck = true;
  for (long nth = 1; struck; ++nth) {
    const auto region = runtime_->allocate(region_size);
    ASSERT_TRUE(region.ok());
    planned().arm(cuCtxPopCurrent_v2_call, nth);
    EXPECT_TRUE(runtime_->free(*region).ok());
    struck = planned().struck;
    planned().disarm();
    ASSERT_CUDA(cuCtxGetCurrent(&current));
    ASSERT_EQ(current, context_) << "pop " << nth;
    ASSERT_TRUE(struck || nth > 2) << "nothing was tried";
  }
  runtime_->context_destroyed(other);
  ASSERT_CUDA(cuCtxDestroy(other));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
}

INSTANTIATE_TEST_SUITE_P(Each, FaultAt, ::testing::Range(0, static_cast<int>(calls)),
                         [](const auto& info) {
                           return std::string(call_names[static_cast<std::size_t>(info.param)]);
                         });

}  // namespace
}  // namespace vhbm
