// Kernel times of an ordinary program on the simulated GPU, beside profilers of its own. Each test
// begins in a new process.
#include <cuda.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>

#include "runtime/cupti/cupti_buffers.h"
#include "runtime/cupti/cupti_kernel_times.h"
#include "simgpu/cupti.h"
#include "vector_math.h"

namespace vhbm {
namespace {

#define ASSERT_CUDA(call) ASSERT_EQ(call, CUDA_SUCCESS) << #call
#define EXPECT_CUDA(call) EXPECT_EQ(call, CUDA_SUCCESS) << #call

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

// A profiler of the program's own, written as CUPTI's documentation says, but for what a test
// leaves out.
class Profiler {
 public:
  Profiler() {
    void* library = dlopen(SIMULATED_CUPTI, RTLD_NOW | RTLD_LOCAL);
#define FIND(name) name = reinterpret_cast<decltype(name)>(dlsym(library, "cupti" #name))
    FIND(Subscribe);
    FIND(Unsubscribe);
    FIND(ActivityRegisterCallbacks);
    FIND(ActivityEnable);
    FIND(ActivityDisable);
    FIND(ActivityFlushAll);
#undef FIND
    next_record =
        reinterpret_cast<decltype(next_record)>(dlsym(library, "cuptiActivityGetNextRecord"));
  }

  void subscribe() {
    ASSERT_EQ(Subscribe(&subscriber_, &ignore, nullptr), CUPTI_SUCCESS);
  }
  void begin() {
    ASSERT_EQ(ActivityRegisterCallbacks(&requested, &completed), CUPTI_SUCCESS);
    ASSERT_EQ(ActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), CUPTI_SUCCESS);
  }
  // How many kernels it has been told of since the last time.
  std::size_t kernels() {
    EXPECT_EQ(ActivityFlushAll(0), CUPTI_SUCCESS);
    return told.exchange(0);
  }
  void end() {
    EXPECT_EQ(ActivityDisable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), CUPTI_SUCCESS);
    EXPECT_EQ(ActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), CUPTI_SUCCESS);
    if (subscriber_ == nullptr) return;
    EXPECT_EQ(Unsubscribe(subscriber_), CUPTI_SUCCESS);
  }

 private:
  static void ignore(void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {}
  static void requested(std::uint8_t** buffer, std::size_t* size, std::size_t* most) {
    *size = 1 << 16;
    *buffer = static_cast<std::uint8_t*>(std::malloc(*size));
    *most = 0;
  }
  static void completed(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                        std::size_t valid) {
    CUpti_Activity* record = nullptr;
    while (next_record(buffer, valid, &record) == CUPTI_SUCCESS) ++told;
    std::free(buffer);
  }

  inline static decltype(&cuptiActivityGetNextRecord) next_record = nullptr;
  inline static std::atomic<std::size_t> told{0};

  decltype(&cuptiSubscribe) Subscribe = nullptr;
  decltype(&cuptiUnsubscribe) Unsubscribe = nullptr;
  decltype(&cuptiActivityRegisterCallbacks) ActivityRegisterCallbacks = nullptr;
  decltype(&cuptiActivityEnable) ActivityEnable = nullptr;
  decltype(&cuptiActivityDisable) ActivityDisable = nullptr;
  decltype(&cuptiActivityFlushAll) ActivityFlushAll = nullptr;
  CUpti_SubscriberHandle subscriber_ = nullptr;
};

class KernelTimesTest : public ::testing::Test {
 protected:
  KernelTimesTest() {
    EXPECT_CUDA(cuInit(0));
    EXPECT_CUDA(cuDevicePrimaryCtxRetain(&context_, 0));
    EXPECT_CUDA(cuCtxSetCurrent(context_));
    EXPECT_CUDA(gpu_image::load(vector_math_images(), &module_));
    EXPECT_CUDA(cuModuleGetFunction(&add_, module_, "vector_add"));
    EXPECT_CUDA(cuModuleGetFunction(&sum_, module_, "reduce_sum"));
    for (CUstream& stream : streams_) {
      EXPECT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    }
    for (CUdeviceptr& words : words_) {
      EXPECT_CUDA(cuMemAlloc(&words, count * sizeof(float)));
      EXPECT_CUDA(cuMemsetD8(words, 0, count * sizeof(float)));
    }
    EXPECT_CUDA(cuMemAlloc(&total_, sizeof(unsigned long long)));
    EXPECT_CUDA(cuCtxSynchronize());
  }

  // Each stream's kernels have their own, since nothing orders them.
  CUdeviceptr& words_of(CUstream stream) { return words_[stream == streams_[0] ? 0 : 1]; }
  void add(CUstream stream) {
    int n = count;
    CUdeviceptr& words = words_of(stream);
    void* parameters[] = {&words, &words, &words, &n};
    EXPECT_CUDA(cuLaunchKernel(add_, 4, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr));
  }
  void sum(CUstream stream) {
    int n = count;
    void* parameters[] = {&total_, &words_of(stream), &n};
    EXPECT_CUDA(cuLaunchKernel(sum_, 4, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr));
  }
  void run_adds(int times) {
    for (int i = 0; i < times; ++i) add(streams_[0]);
    EXPECT_CUDA(cuCtxSynchronize());
  }
  static std::vector<KernelSpan> taken(KernelTimes& times) {
    std::vector<KernelSpan> spans;
    times.take(spans);
    return spans;
  }
  static CuptiKernelTimes from(std::string path) {
    return CuptiKernelTimes([path] { return std::vector<std::string>{path}; });
  }

  static constexpr int count = 1024;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction add_ = nullptr, sum_ = nullptr;
  CUstream streams_[2] = {};
  CUdeviceptr words_[2] = {}, total_ = 0;
};

TEST_F(KernelTimesTest, AreLeftToAProfilerThatDidNotSubscribe) {
  Profiler profiler;
  profiler.begin();
  CuptiKernelTimes times;
  const Status status = times.start();
  EXPECT_EQ(status.code(), Errc::system_error);
  EXPECT_NE(status.message().find("a profiler has this process's CUPTI"), std::string::npos)
      << status.message();
  run_adds(9);
  EXPECT_TRUE(taken(times).empty());
  EXPECT_EQ(profiler.kernels(), 9u);
  profiler.end();
}

TEST_F(KernelTimesTest, TellEachKernelOnceInTheOrderOfItsStream) {
  CuptiKernelTimes times;
  ASSERT_TRUE(times.start().ok());
  const std::int64_t begin = now();
  for (int i = 0; i < 10; ++i) {
    add(streams_[0]);
    if (i % 2 == 0) sum(streams_[0]);
    if (i < 7) sum(streams_[1]);
  }
  EXPECT_CUDA(cuCtxSynchronize());
  const std::int64_t end = now();
  auto spans = taken(times);
  std::map<std::uint32_t, std::vector<KernelSpan>> streams;
  std::map<std::string_view, int> names;
  for (const KernelSpan& span : spans) {
    ++names[span.name];
    streams[span.stream].push_back(span);
    EXPECT_EQ(span.graph, 0u);
    EXPECT_LT(span.begin_ns, span.end_ns);
    // As exactly as the two clocks can be compared.
    EXPECT_GT(span.begin_ns, begin - 100'000);
    EXPECT_LT(span.end_ns, end + 100'000);
  }
  EXPECT_EQ(names, (std::map<std::string_view, int>{{"vector_add", 10}, {"reduce_sum", 12}}));
  ASSERT_EQ(streams.size(), 2u);
  unsigned long long id = 0;
  EXPECT_CUDA(cuStreamGetId(streams_[1], &id));
  EXPECT_EQ(streams[static_cast<std::uint32_t>(id)].size(), 7u);
  for (auto& [stream, row] : streams) {
    std::sort(row.begin(), row.end(),
              [](const KernelSpan& a, const KernelSpan& b) { return a.begin_ns < b.begin_ns; });
    for (std::size_t i = 1; i < row.size(); ++i) {
      EXPECT_GE(row[i].begin_ns, row[i - 1].end_ns) << stream << ", " << i;
    }
  }
  // vector_add and reduce_sum, then vector_add alone, and so on.
  const auto& first =
      streams.begin()->second.size() == 15 ? streams.begin()->second : streams.rbegin()->second;
  ASSERT_EQ(first.size(), 15u);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].name, i % 3 == 1 ? "reduce_sum" : "vector_add") << i;
  }
  EXPECT_TRUE(times.stop().ok());
  EXPECT_EQ(times.lost(), 0u);
  EXPECT_TRUE(taken(times).empty());
}

TEST_F(KernelTimesTest, TellOfKernelsInsideGraphs) {
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  ASSERT_CUDA(cuStreamBeginCapture(streams_[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  add(streams_[0]);
  sum(streams_[0]);
  add(streams_[0]);
  ASSERT_CUDA(cuStreamEndCapture(streams_[0], &graph));
  ASSERT_CUDA(cuGraphInstantiateWithFlags(&executable, graph, 0));
  CuptiKernelTimes times;
  ASSERT_TRUE(times.start().ok());
  for (int i = 0; i < 4; ++i) ASSERT_CUDA(cuGraphLaunch(executable, streams_[1]));
  add(streams_[1]);
  ASSERT_CUDA(cuCtxSynchronize());
  auto spans = taken(times);
  ASSERT_EQ(spans.size(), 13u);
  std::sort(spans.begin(), spans.end(),
            [](const KernelSpan& a, const KernelSpan& b) { return a.begin_ns < b.begin_ns; });
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(spans[i].name, i % 3 == 1 ? "reduce_sum" : "vector_add") << i;
    EXPECT_NE(spans[i].graph, 0u);
    EXPECT_EQ(spans[i].graph, spans[0].graph);
  }
  EXPECT_EQ(spans[12].graph, 0u);
}

TEST_F(KernelTimesTest, TellNothingOfWhatRanWhileTheyWereOff) {
  CuptiKernelTimes times;
  run_adds(3);
  EXPECT_TRUE(taken(times).empty());
  for (const int kernels : {5, 11}) {
    ASSERT_TRUE(times.start().ok());
    EXPECT_TRUE(times.start().ok());
    run_adds(kernels);
    EXPECT_TRUE(times.stop().ok());
    EXPECT_TRUE(times.stop().ok());
    run_adds(2);
    EXPECT_EQ(taken(times).size(), static_cast<std::size_t>(kernels));
  }
  EXPECT_EQ(times.lost(), 0u);
}

TEST_F(KernelTimesTest, TakeMoreKernelsThanABufferHolds) {
  CuptiKernelTimes times;
  ASSERT_TRUE(times.start().ok());
  constexpr int kernels = 3 * CuptiBuffers::buffer_size / sizeof(CUpti_ActivityKernel10);
  run_adds(kernels);
  EXPECT_EQ(taken(times).size(), static_cast<std::size_t>(kernels));
  EXPECT_EQ(times.lost(), 0u);
}

TEST_F(KernelTimesTest, AreLeftToAProfilerThatSubscribed) {
  Profiler profiler;
  profiler.subscribe();
  profiler.begin();
  CuptiKernelTimes times;
  EXPECT_EQ(times.start().code(), Errc::system_error);
  EXPECT_EQ(times.start().code(), Errc::system_error);
  run_adds(9);
  EXPECT_EQ(profiler.kernels(), 9u);
  profiler.end();
  // It has ended. Its callbacks are still those that CUPTI knows.
  CuptiKernelTimes later;
  EXPECT_EQ(later.start().code(), Errc::system_error);
}

TEST_F(KernelTimesTest, AreHadAgainWhenAProfilerHasEnded) {
  CuptiKernelTimes times;
  ASSERT_TRUE(times.start().ok());
  ASSERT_TRUE(times.stop().ok());
  Profiler profiler;
  profiler.subscribe();
  profiler.begin();
  EXPECT_EQ(times.start().code(), Errc::system_error);
  run_adds(4);
  EXPECT_EQ(profiler.kernels(), 4u);
  profiler.end();
  ASSERT_TRUE(times.start().ok());
  run_adds(6);
  EXPECT_EQ(taken(times).size(), 6u);
}

TEST_F(KernelTimesTest, EndWhereAProfilerTakesOver) {
  CuptiKernelTimes times;
  ASSERT_TRUE(times.start().ok());
  run_adds(5);
  EXPECT_EQ(taken(times).size(), 5u);
  Profiler profiler;
  profiler.subscribe();
  profiler.begin();
  run_adds(7);
  EXPECT_TRUE(taken(times).empty());
  const Status stopped = times.stop();
  EXPECT_EQ(stopped.code(), Errc::system_error);
  EXPECT_NE(stopped.message().find("took CUPTI over"), std::string::npos) << stopped.message();
  // All its kernels are its own, and go on being told.
  run_adds(2);
  EXPECT_EQ(profiler.kernels(), 9u);
  profiler.end();
}

TEST_F(KernelTimesTest, SayWhyThereAreNone) {
  CuptiKernelTimes nowhere([] { return std::vector<std::string>{"libno_such_library.so.1"}; });
  EXPECT_EQ(nowhere.start().code(), Errc::unsupported);
  EXPECT_NE(nowhere.start().message().find("there is no CUPTI"), std::string::npos);
  CuptiKernelTimes broken = from(NOT_A_LIBRARY);
  EXPECT_EQ(broken.start().code(), Errc::system_error);
  EXPECT_NE(broken.start().message().find(NOT_A_LIBRARY), std::string::npos);
  setenv("SIMGPU_CUPTI_VERSION", "18", 1);
  CuptiKernelTimes old = from(SIMULATED_CUPTI);
  EXPECT_EQ(old.start().code(), Errc::unsupported);
  EXPECT_NE(old.start().message().find("version 18: expected 19 (CUDA 12.0) or later"),
            std::string::npos)
      << old.start().message();
  unsetenv("SIMGPU_CUPTI_VERSION");
  EXPECT_TRUE(taken(old).empty());
  EXPECT_TRUE(old.stop().ok());
  EXPECT_TRUE(old.start().ok());
}

TEST_F(KernelTimesTest, LoadNothingUntilTheyAreAskedFor) {
  const auto has_cupti = [] {
    std::ifstream maps("/proc/self/maps");
    const std::string all{std::istreambuf_iterator<char>(maps), {}};
    return all.find("libcupti") != std::string::npos;
  };
  CuptiKernelTimes times;
  EXPECT_TRUE(taken(times).empty());
  EXPECT_TRUE(times.stop().ok());
  EXPECT_FALSE(has_cupti());
  ASSERT_TRUE(times.start().ok());
  EXPECT_TRUE(has_cupti());
}

TEST_F(KernelTimesTest, StandStillInAForkedChild) {
  CuptiKernelTimes times;
  ASSERT_TRUE(times.start().ok());
  run_adds(3);
  const pid_t child = fork();
  if (child == 0) {
    const bool still = !times.start().ok() && taken(times).empty() && times.stop().ok();
    _exit(still ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(taken(times).size(), 3u);
}

TEST_F(KernelTimesTest, LetTheProcessEndWithWorkInFlight) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static CuptiKernelTimes times;
        const bool started = times.start().ok();
        for (int i = 0; i < 500; ++i) add(streams_[i % 2]);
        std::exit(started ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace vhbm
