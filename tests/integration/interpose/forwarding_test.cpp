// Every row of symbols.def: its hook is what a program gets by each route, and what it forwards
// goes to the function of its own name, with the caller's arguments, and comes back with that
// function's answer. Run with libvhbm.so preloaded and recording_driver linked before the driver.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>

#include "loaded_functions.h"
#include "recording_driver.h"
#include "runtime/stats_reader.h"

namespace {

// What this thread does while it counts.
constinit thread_local bool counting = false;
constinit std::atomic<long> environment_asked{0}, allocated{0};

}  // namespace

// In front of the C library's, for all objects of this process.
extern "C" char* getenv(const char* name) noexcept {
  if (counting) ++environment_asked;
  const std::size_t length = std::strlen(name);
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    if (std::strncmp(*one, name, length) == 0 && (*one)[length] == '=') return *one + length + 1;
  }
  return nullptr;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VHBM_SANITIZED  // which has an allocator of its own
#else
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* malloc(std::size_t size) {
  if (counting) ++allocated;
  return __libc_malloc(size);
}
#endif

namespace {

// A hook called with what its parameters can hold of given words.
class Call {
 public:
  template <typename... P>
  Call(CUresult(CUDAAPI* hook)(P...), bool with_zeros) {
    (sizes_.push_back(sizeof(P)), ...);
    std::size_t words = 0;
    (places_.push_back(on_stack(sizeof(P)) ? first_on_stack : words++), ...);
    for (std::size_t i = 0; i < sizeof...(P); ++i) {
      passed_.push_back(with_zeros ? 0 : 0x0101010101010101 * (i + 1));
    }
    (void)take_recorded_call();
    answer_ = call(hook, std::index_sequence_for<P...>{});
    recorded_ = take_recorded_call();
  }

  void expect_forwarded_to(const std::string& symbol, int line) const {
    ASSERT_NE(recorded_.function, nullptr) << symbol << " forwards to nobody";
    EXPECT_EQ(recorded_.function, symbol);
    EXPECT_EQ(static_cast<int>(answer_), recorded_error(line)) << symbol;
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      std::array<Word, recorded_words> passed;
      passed.fill(passed_[i]);
      if (sizes_[i] > sizeof(Word) && !structures_on_stack) continue;  // a pointer to it came
      const std::size_t seen = std::min(sizes_[i], (recorded_words - places_[i]) * sizeof(Word));
      EXPECT_EQ(std::memcmp(&recorded_.arguments[places_[i]], passed.data(), seen), 0)
          << symbol << ": argument " << i << " is not the caller's";
    }
  }

 private:
  static constexpr std::size_t recorded_words =
      std::tuple_size_v<decltype(RecordedCall::arguments)>;
  // x86-64: six words come in registers, and structures on the stack, wherever they stand.
  static constexpr std::size_t first_on_stack = 6;
#if defined(__x86_64__)
  static constexpr bool structures_on_stack = true;
#else
  static constexpr bool structures_on_stack = false;
#endif
  static constexpr bool on_stack(std::size_t size) {
    return structures_on_stack && size > sizeof(Word);
  }

  template <typename P>
  static P as(Word word) {
    P value;
    // Of a structure every word is the same.
    std::array<Word, (sizeof value + sizeof word - 1) / sizeof word> words;
    words.fill(word);
    std::memcpy(&value, words.data(), sizeof value);
    return value;
  }
  template <typename... P, std::size_t... i>
  CUresult call(CUresult(CUDAAPI* hook)(P...), std::index_sequence<i...>) const {
    return hook(as<P>(passed_[i])...);
  }

  std::vector<std::size_t> sizes_, places_;
  std::vector<Word> passed_;
  CUresult answer_ = CUDA_SUCCESS;
  RecordedCall recorded_;
};

void expect_each_forwards(bool with_zeros) {
  int called = 0;
#define HOOK(group, need, name, symbol)                               \
  Call(&::symbol, with_zeros).expect_forwarded_to(#symbol, __LINE__); \
  ++called;
#include "interpose/symbols.def"
#undef HOOK
  EXPECT_EQ(called, static_cast<int>(hooked_symbols().size()));
  std::printf("%d hooks called\n", called);
}

template <typename Function>
Function drivers_own(const char* symbol, Function) {
  return reinterpret_cast<Function>(defined_in("libcuda.so.1", symbol));
}

void expect_given_by_each_route(void* driver, const char* name, void* hook) {
  EXPECT_EQ(owner_of(hook).file, "libvhbm.so") << name;
  EXPECT_EQ(owner_of(hook).symbol, name);
  EXPECT_NE(defined_in("librecording_driver.so", name), nullptr) << name;
  EXPECT_EQ(dlsym(driver, name), hook) << name;
  let_recording_driver_give(name);
  void *given = nullptr, *given_by_older = nullptr;
  EXPECT_EQ(cuGetProcAddress_v2(name, &given, 0, 0, nullptr), CUDA_SUCCESS) << name;
  EXPECT_EQ(given, hook) << name;
  EXPECT_EQ(cuGetProcAddress(name, &given_by_older, 0, 0), CUDA_SUCCESS) << name;
  EXPECT_EQ(given_by_older, hook) << name;
  let_recording_driver_give(nullptr);
}

TEST(EveryRow, IsTheHookByEachRoute) {
  void* driver = dlopen("librecording_driver.so", RTLD_NOLOAD | RTLD_LAZY);
  ASSERT_NE(driver, nullptr);
#define HOOK(group, need, name, symbol) \
  expect_given_by_each_route(driver, #symbol, reinterpret_cast<void*>(&::symbol));
#include "interpose/symbols.def"
#undef HOOK
}

TEST(EveryRow, ForwardsToItsOwnFunctionBeforeTheRuntimeStarts) {
  expect_each_forwards(false);
}

TEST(EveryRow, ForwardsToItsOwnFunctionWhileTheRuntimeRuns) {
  CUdevice device = 0;
  CUcontext context = nullptr;
  ASSERT_EQ(drivers_own("cuInit", &cuInit)(0), CUDA_SUCCESS);
  ASSERT_EQ(drivers_own("cuDevicePrimaryCtxRetain", &cuDevicePrimaryCtxRetain)(&context, device),
            CUDA_SUCCESS);
  ASSERT_EQ(drivers_own("cuCtxSetCurrent", &cuCtxSetCurrent)(context), CUDA_SUCCESS);
  CUdeviceptr region = 0;
  ASSERT_EQ(cuMemAlloc_v2(&region, 4 << 20), CUDA_SUCCESS) << "the runtime did not start";
  // What its pointers point to is looked at now, so there is nothing behind them.
  expect_each_forwards(true);
  EXPECT_EQ(cuMemFree_v2(region), CUDA_SUCCESS);
}

// The recording driver below the hooks does neither, so what is counted is theirs.
TEST(HotHooks, AskNoEnvironmentAndAllocateNothing) {
  CUcontext context = nullptr;
  ASSERT_EQ(drivers_own("cuInit", &cuInit)(0), CUDA_SUCCESS);
  ASSERT_EQ(drivers_own("cuDevicePrimaryCtxRetain", &cuDevicePrimaryCtxRetain)(&context, 0),
            CUDA_SUCCESS);
  ASSERT_EQ(drivers_own("cuCtxSetCurrent", &cuCtxSetCurrent)(context), CUDA_SUCCESS);
  CUdeviceptr region = 0;
  ASSERT_EQ(cuMemAlloc_v2(&region, 4 << 20), CUDA_SUCCESS) << "the runtime did not start";
  const auto function = reinterpret_cast<CUfunction>(&context);  // its layout is learnt only once
  const auto graph = reinterpret_cast<CUgraphExec>(&context);
  char bytes[64] = {};
  CUlaunchConfig config{};
  struct {
    CUdeviceptr words;
    std::uint64_t count;
  } packed{region, 4};
  std::size_t size = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  void* parameters[] = {&packed};
  for (int round = 0; round < 1000; ++round) {
    counting = round > 0;
    cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra);
    cuLaunchKernel_ptsz(function, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr);
    cuLaunchKernelEx(&config, function, parameters, nullptr);
    cuGraphLaunch(graph, nullptr);
    cuMemcpyAsync(region, region + 4096, 64, nullptr);
    cuMemcpyHtoDAsync_v2(region, bytes, sizeof bytes, nullptr);
    cuMemcpyDtoHAsync_v2(bytes, region, sizeof bytes, nullptr);
    cuMemsetD32Async(region, 1, 16, nullptr);
    cuEventRecord(nullptr, nullptr);
    cuStreamWaitEvent(nullptr, nullptr, 0);
    cuStreamSynchronize(nullptr);
  }
  counting = false;
  EXPECT_EQ(environment_asked.load(), 0);
  EXPECT_EQ(allocated.load(), 0);
  EXPECT_EQ(cuMemFree_v2(region), CUDA_SUCCESS);
}

// That it would be seen.
TEST(HotHooks, AreCountedWhereTheyDo) {
  counting = true;
  (void)std::getenv("HOME");
  counting = false;
  EXPECT_EQ(environment_asked.exchange(0), 1);
#if !defined(VHBM_SANITIZED)
  counting = true;
  void* volatile memory = std::malloc(64);
  counting = false;
  std::free(memory);
  EXPECT_EQ(allocated.exchange(0), 1);
#endif
}

// What the driver gives out itself is counted while it has it. The simulated GPU has no arrays and
// no managed memory, so a driver that says yes to anything stands for one that does.
class Native : public ::testing::Test {
 protected:
  static std::uint64_t bytes(vhbm::Stat stat = vhbm::Stat::native_bytes) {
    for (const auto& one : vhbm::read_live_stats(std::getenv("VHBM_STATE_DIR"))) {
      if (one.pid == getpid()) return one[stat];
    }
    return 0;
  }
  // What `make` adds and `drop` takes away again.
  template <typename Make, typename Drop>
  static std::uint64_t counted(Word handle, Make&& make, Drop&& drop) {
    const std::uint64_t before = bytes();
    let_recording_driver_succeed(handle);
    EXPECT_EQ(make(), CUDA_SUCCESS);
    const std::uint64_t with = bytes();
    // A refusal changes nothing.
    EXPECT_NE(drop(), CUDA_SUCCESS);
    EXPECT_EQ(bytes(), with);
    let_recording_driver_succeed();
    EXPECT_EQ(drop(), CUDA_SUCCESS);
    EXPECT_EQ(bytes(), before);
    return with - before;
  }
};

TEST_F(Native, ArraysCountTheirElements) {
  CUarray array = nullptr;
  CUmipmappedArray levels = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat{512, 256, CU_AD_FORMAT_FLOAT, 2};
  const CUDA_ARRAY3D_DESCRIPTOR solid{64, 32, 16, CU_AD_FORMAT_HALF, 4, 0};
  const CUDA_ARRAY3D_DESCRIPTOR layers{
      64, 64, 6, CU_AD_FORMAT_UNSIGNED_INT8, 1, CUDA_ARRAY3D_LAYERED};
  const CUDA_ARRAY3D_DESCRIPTOR sparse{64, 64, 0, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_SPARSE};
  const auto destroy = [&] { return cuArrayDestroy(array); };
  EXPECT_EQ(counted(
                0x1000, [&] { return cuArrayCreate_v2(&array, &flat); }, destroy),
            512u * 256 * 4 * 2);
  EXPECT_EQ(counted(
                0x2000, [&] { return cuArray3DCreate_v2(&array, &solid); }, destroy),
            64u * 32 * 16 * 2 * 4);
  EXPECT_EQ(counted(
                0x3000, [&] { return cuArray3DCreate_v2(&array, &sparse); }, destroy),
            0u);
  EXPECT_EQ(counted(
                0x4000, [&] { return cuMipmappedArrayCreate(&levels, &layers, 3); },
                [&] { return cuMipmappedArrayDestroy(levels); }),
            6u * (64 * 64 + 32 * 32 + 16 * 16));
}

TEST_F(Native, ManagedMemoryCountsAndIsFreedAsAny) {
  CUdeviceptr address = 0;
  EXPECT_EQ(counted(
                0x5000, [&] { return cuMemAllocManaged(&address, 3 << 20, CU_MEM_ATTACH_GLOBAL); },
                [&] { return cuMemFree_v2(address); }),
            3u << 20);
  EXPECT_EQ(address, 0x5000u);
}

}  // namespace
