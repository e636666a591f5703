// Streams: order within and across them, the two default streams, and host functions.
#include <atomic>
#include <thread>

#include "on_device.h"

using namespace conformance;

namespace {

class Stream : public OnDevice {
 protected:
  static void set(void* flag) { static_cast<std::atomic<bool>*>(flag)->store(true); }
  // The per-thread default stream variant of a function.
  template <typename F>
  static F per_thread(const char* name) {
    void* function = nullptr;
    EXPECT_EQ(cuGetProcAddress(name, &function, 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM,
                               nullptr),
              CUDA_SUCCESS);
    return reinterpret_cast<F>(function);
  }
};

TEST_F(Stream, RunsItsWorkInOrder) {
  const CUdeviceptr memory = allocate(4096);
  CUstream stream = make_stream();
  OK(launch(kernel("fill"), 1024, stream, memory, 0u, 1024u));
  for (int i = 0; i < 50; ++i) OK(launch(kernel("add_one"), 1024, stream, memory, 1024u));
  EXPECT_EQ(read(memory, 1024), Words(1024, 50u));
}

TEST_F(Stream, LaunchesDoNotWaitForTheWork) {
  CUstream stream = make_stream();
  Blocker blocker(kernel("wait_for_flag"), stream);
  OK(blocker.launched());
  EXPECT_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  blocker.release();
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(cuStreamQuery(stream), CUDA_SUCCESS);
}

TEST_F(Stream, NonBlockingOnesDoNotWaitForTheLegacyStream) {
  // cuda.h, CU_STREAM_NON_BLOCKING: "Stream does not synchronize with stream 0 (the NULL stream)"
  CUstream stream = make_stream(CU_STREAM_NON_BLOCKING);
  const CUdeviceptr memory = allocate(4096);
  Blocker blocker(kernel("wait_for_flag"), nullptr);
  OK(blocker.launched());
  OK(launch(kernel("fill"), 1024, stream, memory, 1u, 1024u));
  EXPECT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
}

TEST_F(Stream, BlockingOnesWaitForTheLegacyStream) {
  CUstream stream = make_stream(CU_STREAM_DEFAULT);
  const CUdeviceptr memory = allocate(4096);
  Blocker blocker(kernel("wait_for_flag"), nullptr);
  OK(blocker.launched());
  OK(launch(kernel("fill"), 1024, stream, memory, 1u, 1024u));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
}

TEST_F(Stream, TheLegacyStreamWaitsForBlockingOnes) {
  CUstream stream = make_stream(CU_STREAM_DEFAULT);
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  Blocker blocker(kernel("wait_for_flag"), stream);
  OK(blocker.launched());
  OK(cuEventRecord(event, nullptr));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  blocker.release();
  EXPECT_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
  OK(cuEventDestroy(event));
}

TEST_F(Stream, EachThreadHasADefaultStreamOfItsOwn) {
  // cuda.h, CU_STREAM_PER_THREAD: "an implicit stream with per-thread synchronization behavior"
  const auto synchronize = per_thread<CUresult (*)(CUstream)>("cuStreamSynchronize");
  Blocker blocker(kernel("wait_for_flag"), CU_STREAM_PER_THREAD);
  OK(blocker.launched());
  EXPECT_EQ(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
  CUresult elsewhere = CUDA_ERROR_UNKNOWN;
  std::thread([&] {
    cuCtxSetCurrent(context_);
    elsewhere = synchronize(nullptr);
  }).join();
  EXPECT_EQ(elsewhere, CUDA_SUCCESS);
}

TEST_F(Stream, NullMeansTheThreadsOwnInPerThreadVariants) {
  const auto query = per_thread<CUresult (*)(CUstream)>("cuStreamQuery");
  Blocker blocker(kernel("wait_for_flag"), CU_STREAM_PER_THREAD);
  OK(blocker.launched());
  EXPECT_EQ(query(nullptr), CUDA_ERROR_NOT_READY);
}

TEST_F(Stream, DestroyingOneLetsItsWorkFinish) {
  // cuda.h, cuStreamDestroy: "the function will return immediately and the resources … will be
  // released automatically once the device has completed all work"
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  const CUdeviceptr memory = allocate(4096);
  {
    Blocker blocker(kernel("wait_for_flag"), stream);
    OK(launch(kernel("fill"), 1024, stream, memory, 9u, 1024u));
    OK(cuStreamDestroy(stream));
  }
  EXPECT_EQ(read(memory, 1024), Words(1024, 9u));
}

TEST_F(Stream, UnknownFlagsAreInvalid) {
  CUstream stream = nullptr;
  EXPECT_EQ(cuStreamCreate(&stream, 0x100), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Stream, PrioritiesAreClampedToTheRange) {
  // cuda.h, cuStreamCreateWithPriority: "If the specified priority is outside the numerical range …
  // it will automatically be clamped"
  int least = 0, greatest = 0, priority = 0;
  OK(cuCtxGetStreamPriorityRange(&least, &greatest));
  CUstream stream = nullptr;
  OK(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, greatest - 100));
  OK(cuStreamGetPriority(stream, &priority));
  EXPECT_EQ(priority, greatest);
  OK(cuStreamDestroy(stream));
}

TEST_F(Stream, PrioritiesInTheRangeAreKept) {
  // cuda.h, cuCtxGetStreamPriorityRange: "lower numbers imply greater priorities", "The range of
  // meaningful stream priorities is given by [*greatestPriority, *leastPriority]."
  int least = 0, greatest = 0, priority = 0;
  OK(cuCtxGetStreamPriorityRange(&least, &greatest));
  EXPECT_LE(greatest, least);
  for (int wanted = greatest; wanted <= least; ++wanted) {
    CUstream stream = nullptr;
    OK(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, wanted));
    OK(cuStreamGetPriority(stream, &priority));
    EXPECT_EQ(priority, wanted);
    OK(cuStreamDestroy(stream));
  }
}

TEST_F(Stream, PrioritiesOutsideTheRangeAreNotAnError) {
  // cuda.h, cuCtxGetStreamPriorityRange: "A NULL may be passed in for leastPriority or
  // greatestPriority if the value is not desired."
  int least = 0, priority = 0;
  OK(cuCtxGetStreamPriorityRange(&least, nullptr));
  CUstream stream = nullptr;
  OK(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, least + 100));
  OK(cuStreamGetPriority(stream, &priority));
  EXPECT_EQ(priority, least);
  OK(cuStreamDestroy(stream));
}

TEST_F(Stream, WithoutAPriorityIsOfTheDefaultOne) {
  // cuda.h, cuStreamCreateWithPriority: "'0' represents default priority."
  int priority = -1;
  OK(cuStreamGetPriority(make_stream(), &priority));
  EXPECT_EQ(priority, 0);
}

TEST_F(Stream, TellsItsFlagsContextAndId) {
  CUstream stream = make_stream(CU_STREAM_NON_BLOCKING), other = make_stream(CU_STREAM_DEFAULT);
  unsigned flags = 0;
  CUcontext context = nullptr;
  unsigned long long id = 0, other_id = 0;
  OK(cuStreamGetFlags(stream, &flags));
  EXPECT_EQ(flags, static_cast<unsigned>(CU_STREAM_NON_BLOCKING));
  const auto get_context = [] {
    void* function = nullptr;
    cuGetProcAddress("cuStreamGetCtx", &function, 9020, 0, nullptr);
    return reinterpret_cast<CUresult (*)(CUstream, CUcontext*)>(function);
  }();
  OK(get_context(stream, &context));
  EXPECT_EQ(context, context_);
  OK(cuStreamGetId(stream, &id));
  OK(cuStreamGetId(other, &other_id));
  EXPECT_NE(id, other_id);
}

TEST_F(Stream, HostFunctionsRunAfterTheWorkBefore) {
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
  struct State {
    const volatile unsigned* word;
    unsigned seen;
  } state{static_cast<unsigned*>(host), 0};
  CUstream stream = make_stream();
  OK(launch(kernel("fill"), 1024, stream, reinterpret_cast<CUdeviceptr>(host), 33u, 1024u));
  OK(cuLaunchHostFunc(
      stream,
      [](void* data) { static_cast<State*>(data)->seen = *static_cast<State*>(data)->word; },
      &state));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(state.seen, 33u);
  OK(cuMemFreeHost(host));
}

TEST_F(Stream, WorkAfterAHostFunctionWaitsForIt) {
  std::atomic<bool> entered{false}, leave{false};
  struct State {
    std::atomic<bool>*entered, *leave;
  } state{&entered, &leave};
  CUstream stream = make_stream();
  OK(cuLaunchHostFunc(
      stream,
      [](void* data) {
        auto* s = static_cast<State*>(data);
        s->entered->store(true);
        while (!s->leave->load()) std::this_thread::yield();
      },
      &state));
  while (!entered.load()) std::this_thread::yield();
  EXPECT_EQ(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  leave = true;
  EXPECT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
}

TEST_F(Stream, CallbacksLearnTheStatus) {
  struct State {
    CUresult status = CUDA_ERROR_UNKNOWN;
    CUstream stream = nullptr;
  } state;
  CUstream stream = make_stream();
  OK(cuStreamAddCallback(
      stream,
      [](CUstream which, CUresult status, void* data) {
        *static_cast<State*>(data) = State{status, which};
      },
      &state, 0));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(state.status, CUDA_SUCCESS);
  EXPECT_EQ(state.stream, stream);
}

TEST_F(Stream, CallbacksMayNotCallCuda) {
  // cuda.h, cuStreamAddCallback: "Attempting to use a CUDA API will result in
  // CUDA_ERROR_NOT_PERMITTED." For cuLaunchHostFunc the same "is not required".
  CUresult inside = CUDA_SUCCESS;
  CUstream stream = make_stream();
  OK(cuStreamAddCallback(
      stream,
      [](CUstream, CUresult, void* data) {
        CUdeviceptr address = 0;
        *static_cast<CUresult*>(data) = cuMemAlloc(&address, kMiB);
      },
      &inside, 0));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(inside, CUDA_ERROR_NOT_PERMITTED);
}

}  // namespace
