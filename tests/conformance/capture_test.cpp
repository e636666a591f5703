// Stream capture: what is recorded, what runs, and what spoils a capture.
#include <thread>

#include "on_device.h"

using namespace conformance;

namespace {

class Capture : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    stream_ = make_stream();
    memory_ = allocate(4096);
  }
  void TearDown() override {
    if (graph_ != nullptr) cuGraphDestroy(graph_);
    OnDevice::TearDown();
  }
  CUresult begin(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) {
    return cuStreamBeginCapture(stream_, mode);
  }
  CUresult end() { return cuStreamEndCapture(stream_, &graph_); }
  CUresult run(int times = 1) {
    CUgraphExec exec = nullptr;
    CUresult result = cuGraphInstantiate(&exec, graph_, 0);
    for (int i = 0; i < times && result == CUDA_SUCCESS; ++i) result = cuGraphLaunch(exec, stream_);
    if (result == CUDA_SUCCESS) result = cuStreamSynchronize(stream_);
    if (exec != nullptr) cuGraphExecDestroy(exec);
    return result;
  }
  CUresult add_one() { return launch(kernel("add_one"), 1024, stream_, memory_, 1024u); }

  CUstream stream_ = nullptr;
  CUdeviceptr memory_ = 0;
  CUgraph graph_ = nullptr;
};

TEST_F(Capture, RecordsInsteadOfRunning) {
  // CUDA C++ Programming Guide, "Creating a Graph Using Stream Capture": "is not enqueued for
  // execution"
  OK(cuMemsetD32(memory_, 0, 1024));
  OK(cuCtxSynchronize());
  OK(begin());
  OK(add_one());
  OK(end());
  EXPECT_EQ(read(memory_, 1024), Words(1024, 0u));
  OK(run(3));
  EXPECT_EQ(read(memory_, 1024), Words(1024, 3u));
}

TEST_F(Capture, OfTheLegacyStreamIsRefused) {
  // cuda.h, cuStreamBeginCapture: "Capture may not be initiated if stream is
  // CU_STREAM_LEGACY"
  EXPECT_EQ(cuStreamBeginCapture(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

TEST_F(Capture, EndingWhatWasNotBegunIsRefused) {
  EXPECT_NE(end(), CUDA_SUCCESS);
}

TEST_F(Capture, StatusTellsWhetherOneIsGoingOn) {
  CUstreamCaptureStatus status{};
  OK(cuStreamIsCapturing(stream_, &status));
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  OK(begin());
  OK(cuStreamIsCapturing(stream_, &status));
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
  OK(end());
  OK(cuStreamIsCapturing(stream_, &status));
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
}

TEST_F(Capture, SynchronizingACapturingStreamSpoilsIt) {
  // CUDA C++ Programming Guide, "Prohibited and Unhandled Operations": "It is invalid to
  // synchronize or query the execution status of a stream which is being captured"
  OK(begin());
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CUstreamCaptureStatus status{};
  OK(cuStreamIsCapturing(stream_, &status));
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(graph_, nullptr);  // cuda.h, cuStreamEndCapture: "then a NULL graph will be returned"
}

TEST_F(Capture, QueryingACapturingStreamSpoilsIt) {
  OK(begin());
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(Capture, AllocatingIsUnsafeInGlobalMode) {
  // cuda.h, cuThreadExchangeStreamCaptureMode: "prohibited from potentially unsafe API calls", of
  // which "cudaMalloc, may be unsafe" is the example
  CUdeviceptr address = 0;
  OK(begin(CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT_EQ(cuMemAlloc(&address, kMiB), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(Capture, AllocatingIsAllowedInRelaxedMode) {
  OK(begin(CU_STREAM_CAPTURE_MODE_RELAXED));
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAlloc(&address, kMiB), CUDA_SUCCESS);
  OK(add_one());
  OK(end());
  OK(cuMemFree(address));
}

TEST_F(Capture, AThreadMayRelaxItsOwnMode) {
  OK(begin(CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAlloc(&address, kMiB), CUDA_SUCCESS);
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
  OK(end());
  OK(cuMemFree(address));
}

TEST_F(Capture, FollowsEventsIntoOtherStreams) {
  CUstream other = make_stream();
  CUevent fork = nullptr, join = nullptr;
  OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
  OK(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
  OK(begin());
  OK(launch(kernel("fill"), 1024, stream_, memory_, 10u, 1024u));
  OK(cuEventRecord(fork, stream_));
  OK(cuStreamWaitEvent(other, fork, 0));
  OK(launch(kernel("add_one"), 1024, other, memory_, 1024u));
  OK(cuEventRecord(join, other));
  OK(cuStreamWaitEvent(stream_, join, 0));
  OK(add_one());
  OK(end());
  OK(run());
  EXPECT_EQ(read(memory_, 1024), Words(1024, 12u));
  OK(cuEventDestroy(fork));
  OK(cuEventDestroy(join));
}

TEST_F(Capture, AForkThatIsNotJoinedIsRefused) {
  // cuda.h: CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "contains a fork that was not joined to the
  // primary stream"
  CUstream other = make_stream();
  CUevent fork = nullptr;
  OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
  OK(begin());
  OK(add_one());
  OK(cuEventRecord(fork, stream_));
  OK(cuStreamWaitEvent(other, fork, 0));
  OK(launch(kernel("add_one"), 1024, other, memory_, 1024u));
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  OK(cuEventDestroy(fork));
}

TEST_F(Capture, WaitingForWorkOutsideIsRefused) {
  // cuda.h: CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "a dependency would have been created which
  // crosses the capture sequence boundary"
  CUstream outside = make_stream();
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  OK(launch(kernel("fill"), 1024, outside, memory_, 1u, 1024u));
  OK(cuEventRecord(event, outside));
  OK(begin());
  EXPECT_EQ(cuStreamWaitEvent(stream_, event, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  OK(cuEventDestroy(event));
}

TEST_F(Capture, ACapturedEventCannotBeQueried) {
  // cuda.h: CUDA_ERROR_CAPTURED_EVENT, "The operation is not permitted on an event which was last
  // recorded in a capturing stream."
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  OK(begin());
  OK(cuEventRecord(event, stream_));
  EXPECT_EQ(cuEventQuery(event), CUDA_ERROR_CAPTURED_EVENT);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  OK(cuEventDestroy(event));
}

TEST_F(Capture, TheLegacyStreamIsUnusableBesideABlockingOne) {
  // cuda.h, cuStreamIsCapturing: "the legacy stream is in an unusable state until the blocking
  // stream capture is terminated"
  CUstream blocking = make_stream(CU_STREAM_DEFAULT);
  OK(cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
  CUstreamCaptureStatus status{};
  EXPECT_EQ(cuStreamIsCapturing(nullptr, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  EXPECT_EQ(launch(kernel("fill"), 1024, nullptr, memory_, 1u, 1024u),
            CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  cuStreamEndCapture(blocking, &graph_);
}

TEST_F(Capture, CopiesAndSetsAreCapturedToo) {
  const CUdeviceptr other = allocate(4096);
  OK(begin());
  OK(cuMemsetD32Async(memory_, 40, 1024, stream_));
  OK(cuMemcpyDtoDAsync(other, memory_, 4096, stream_));
  OK(end());
  OK(run());
  EXPECT_EQ(read(other, 1024), Words(1024, 40u));
}

TEST_F(Capture, HostFunctionsRunAtEachLaunch) {
  int calls = 0;
  OK(begin());
  OK(cuLaunchHostFunc(
      stream_, [](void* data) { ++*static_cast<int*>(data); }, &calls));
  OK(end());
  EXPECT_EQ(calls, 0);
  OK(run(2));
  EXPECT_EQ(calls, 2);
}

TEST_F(Capture, CannotBeBegunTwice) {
  // cuda.h, cuStreamBeginCapture: "may only be initiated if the stream is not already in capture
  // mode"
  OK(begin());
  EXPECT_NE(begin(), CUDA_SUCCESS);
  end();
}

TEST_F(Capture, EndsInTheThreadThatBeganIt) {
  // cuda.h: CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "passed to cuStreamEndCapture in a different
  // thread"
  OK(begin(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CUresult elsewhere = CUDA_SUCCESS;
  std::thread([&] {
    CUgraph graph = nullptr;
    cuCtxSetCurrent(context_);
    elsewhere = cuStreamEndCapture(stream_, &graph);
  }).join();
  EXPECT_EQ(elsewhere, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  end();
}

TEST_F(Capture, RelaxedMayEndInAnotherThread) {
  // cuda.h, cuStreamBeginCapture: "If mode is not CU_STREAM_CAPTURE_MODE_RELAXED,
  // cuStreamEndCapture must be called on this stream from the same thread."
  OK(begin(CU_STREAM_CAPTURE_MODE_RELAXED));
  CUresult elsewhere = CUDA_ERROR_UNKNOWN;
  std::thread([&] {
    cuCtxSetCurrent(context_);
    elsewhere = end();
  }).join();
  EXPECT_EQ(elsewhere, CUDA_SUCCESS);
}

TEST_F(Capture, AThreadLocalOneDoesNotHinderOtherThreads) {
  // cuda.h, cuThreadExchangeStreamCaptureMode: only "a concurrent capture sequence initiated with
  // CU_STREAM_CAPTURE_MODE_GLOBAL" prohibits other threads
  OK(begin(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CUdeviceptr address = 0;
  CUresult elsewhere = CUDA_ERROR_UNKNOWN;
  std::thread([&] {
    cuCtxSetCurrent(context_);
    elsewhere = cuMemAlloc(&address, kMiB);
  }).join();
  EXPECT_EQ(elsewhere, CUDA_SUCCESS);
  OK(end());
  OK(cuMemFree(address));
}

TEST_F(Capture, AGlobalOneHindersOtherThreads) {
  // cuda.h, cuThreadExchangeStreamCaptureMode: "if any other thread has a concurrent capture
  // sequence initiated with CU_STREAM_CAPTURE_MODE_GLOBAL, this thread is prohibited"
  OK(begin(CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUresult elsewhere = CUDA_SUCCESS;
  std::thread([&] {
    CUdeviceptr address = 0;
    cuCtxSetCurrent(context_);
    elsewhere = cuMemAlloc(&address, kMiB);
  }).join();
  EXPECT_EQ(elsewhere, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(Capture, TwoCannotMerge) {
  // cuda.h: CUDA_ERROR_STREAM_CAPTURE_MERGE, "would have resulted in a merge of two independent
  // capture sequences"
  CUstream other = make_stream();
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  OK(begin());
  OK(cuStreamBeginCapture(other, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuEventRecord(event, other));
  EXPECT_EQ(cuStreamWaitEvent(stream_, event, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE);
  CUgraph graph = nullptr;
  cuStreamEndCapture(other, &graph);
  if (graph != nullptr) cuGraphDestroy(graph);
  end();
  OK(cuEventDestroy(event));
}

TEST_F(Capture, TakesNoCallbacks) {
  // cuda.h, cuStreamAddCallback: "this function is not supported with cuStreamBeginCapture"
  OK(begin());
  EXPECT_NE(cuStreamAddCallback(
                stream_, [](CUstream, CUresult, void*) {}, nullptr, 0),
            CUDA_SUCCESS);
  end();
}

#if CUDA_VERSION >= 12050
TEST_F(Capture, IsSpoiltByAnEventOfItsContext) {
  // cuda.h, cuCtxRecordEvent: "will return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED if the specified
  // context hCtx has a stream in the capture mode"; "will invalidate all the conflicting captures"
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  OK(begin());
  EXPECT_EQ(cuCtxRecordEvent(context_, event), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  OK(cuEventDestroy(event));
}
#endif

TEST_F(Capture, DependenciesMayBeSetByHand) {
  // cuda.h, cuStreamUpdateCaptureDependencies: "The dependency set is the set of nodes that the
  // next captured node in the stream will depend on". Nodes that were removed "do not result in
  // CUDA_ERROR_STREAM_CAPTURE_UNJOINED".
  using Update = CUresult (*)(CUstream, CUgraphNode*, std::size_t, unsigned);
  using GetInfo = CUresult (*)(CUstream, CUstreamCaptureStatus*, cuuint64_t*, CUgraph*,
                               const CUgraphNode**, std::size_t*);
  void *update = nullptr, *get_info = nullptr;
  OK(cuGetProcAddress("cuStreamUpdateCaptureDependencies", &update, 11030, 0, nullptr));
  OK(cuGetProcAddress("cuStreamGetCaptureInfo", &get_info, 11030, 0, nullptr));
  CUstream stream = make_stream();
  CUgraphNode empty = nullptr;
  EXPECT_EQ(reinterpret_cast<Update>(update)(stream, &empty, 0, 0), CUDA_ERROR_ILLEGAL_STATE);
  const CUdeviceptr memory = allocate(4096);
  OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(launch(kernel("fill"), 1024, stream, memory, 1u, 1024u));
  CUstreamCaptureStatus status{};
  cuuint64_t id = 0;
  CUgraph graph = nullptr;
  const CUgraphNode* dependencies = nullptr;
  std::size_t count = 0;
  OK(reinterpret_cast<GetInfo>(get_info)(stream, &status, &id, &graph, &dependencies, &count));
  ASSERT_EQ(count, 1u);
  OK(cuGraphAddEmptyNode(&empty, graph, nullptr, 0));
  OK(reinterpret_cast<Update>(update)(stream, &empty, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
  OK(launch(kernel("add_one"), 1024, stream, memory, 1024u));
  CUgraph captured = nullptr;
  OK(cuStreamEndCapture(stream, &captured));
  CUgraphNode roots[3]{};
  count = 3;
  OK(cuGraphGetRootNodes(captured, roots, &count));
  EXPECT_EQ(count, 2u);
  OK(cuGraphDestroy(captured));
}

}  // namespace
