// Events: what they record, and who waits for them.
#include <thread>

#include "on_device.h"

using namespace conformance;

namespace {

class Event : public OnDevice {
 protected:
  void TearDown() override {
    for (CUevent event : events_) cuEventDestroy(event);
    OnDevice::TearDown();
  }
  CUevent make_event(unsigned flags = CU_EVENT_DEFAULT) {
    CUevent event = nullptr;
    EXPECT_EQ(cuEventCreate(&event, flags), CUDA_SUCCESS);
    events_.push_back(event);
    return event;
  }
  std::vector<CUevent> events_;
};

TEST_F(Event, NeverRecordedIsDone) {
  // cuda.h, cuEventRecord: "Before the first call to cuEventRecord(), an event represents an empty
  // set of work"
  CUevent event = make_event();
  EXPECT_EQ(cuEventQuery(event), CUDA_SUCCESS);
  EXPECT_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
}

TEST_F(Event, IsDoneWhenTheWorkBeforeItIs) {
  CUevent event = make_event();
  CUstream stream = make_stream();
  Blocker blocker(kernel("wait_for_flag"), stream);
  OK(cuEventRecord(event, stream));
  EXPECT_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  blocker.release();
  EXPECT_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
  EXPECT_EQ(cuEventQuery(event), CUDA_SUCCESS);
}

TEST_F(Event, DoesNotWaitForWorkAfterIt) {
  CUevent event = make_event();
  CUstream stream = make_stream();
  OK(cuEventRecord(event, stream));
  Blocker blocker(kernel("wait_for_flag"), stream);
  EXPECT_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
}

TEST_F(Event, RecordingAgainForgetsTheFirst) {
  // cuda.h, cuEventRecord: "can be called multiple times on the same event and will overwrite the
  // previously captured state"
  CUevent event = make_event();
  CUstream busy = make_stream(), idle = make_stream();
  Blocker blocker(kernel("wait_for_flag"), busy);
  OK(cuEventRecord(event, busy));
  OK(cuEventRecord(event, idle));
  EXPECT_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
}

TEST_F(Event, MakesAnotherStreamWait) {
  CUevent event = make_event(CU_EVENT_DISABLE_TIMING);
  CUstream first = make_stream(), second = make_stream();
  const CUdeviceptr memory = allocate(4096);
  {
    Blocker blocker(kernel("wait_for_flag"), first);
    OK(launch(kernel("fill"), 1024, first, memory, 5u, 1024u));
    OK(cuEventRecord(event, first));
    OK(cuStreamWaitEvent(second, event, 0));
    OK(launch(kernel("add_one"), 1024, second, memory, 1024u));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
  }
  EXPECT_EQ(read(memory, 1024), Words(1024, 6u));
}

TEST_F(Event, AWaitKeepsWhatWasRecordedThen) {
  // cuda.h, cuStreamWaitEvent: "Makes all future work submitted to hStream wait for all work
  // captured in hEvent" at the time of the call
  CUevent event = make_event(CU_EVENT_DISABLE_TIMING);
  CUstream idle = make_stream(), busy = make_stream(), waiting = make_stream();
  OK(cuEventRecord(event, idle));
  OK(cuStreamWaitEvent(waiting, event, 0));
  Blocker blocker(kernel("wait_for_flag"), busy);
  OK(cuEventRecord(event, busy));
  EXPECT_EQ(cuStreamSynchronize(waiting), CUDA_SUCCESS);
}

TEST_F(Event, WaitingForANeverRecordedOneIsNoWait) {
  CUstream stream = make_stream();
  OK(cuStreamWaitEvent(stream, make_event(), 0));
  EXPECT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
}

TEST_F(Event, ElapsedTimeIsNotNegative) {
  CUevent begin = make_event(), end = make_event();
  CUstream stream = make_stream();
  const CUdeviceptr memory = allocate(4096);
  OK(cuEventRecord(begin, stream));
  OK(launch(kernel("fill"), 1024, stream, memory, 1u, 1024u));
  OK(cuEventRecord(end, stream));
  OK(cuEventSynchronize(end));
  float milliseconds = -1;
  OK(cuEventElapsedTime(&milliseconds, begin, end));
  EXPECT_GE(milliseconds, 0.0f);
}

TEST_F(Event, ElapsedTimeOfUnfinishedOnesIsNotReady) {
  CUevent begin = make_event(), end = make_event();
  CUstream stream = make_stream();
  OK(cuEventRecord(begin, stream));
  Blocker blocker(kernel("wait_for_flag"), stream);
  OK(cuEventRecord(end, stream));
  float milliseconds = 0;
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), CUDA_ERROR_NOT_READY);
}

TEST_F(Event, WithoutTimingThereIsNoElapsedTime) {
  // cuda.h, cuEventElapsedTime: "If either event was created with the CU_EVENT_DISABLE_TIMING flag,
  // then this function will return CUDA_ERROR_INVALID_HANDLE"
  CUevent begin = make_event(CU_EVENT_DISABLE_TIMING), end = make_event(CU_EVENT_DISABLE_TIMING);
  CUstream stream = make_stream();
  OK(cuEventRecord(begin, stream));
  OK(cuEventRecord(end, stream));
  OK(cuStreamSynchronize(stream));
  float milliseconds = 0;
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Event, UnknownFlagsAreInvalid) {
  CUevent event = nullptr;
  EXPECT_EQ(cuEventCreate(&event, 0x1000), CUDA_ERROR_INVALID_VALUE);
}

#if CUDA_VERSION >= 12050
TEST_F(Event, OfAContextCapturesAllItsStreams) {
  // cuda.h, cuCtxRecordEvent: "Captures in hEvent all the activities of the context hCtx at the
  // time of this call"
  CUevent event = make_event(CU_EVENT_DISABLE_TIMING);
  CUstream stream = make_stream();
  Blocker blocker(kernel("wait_for_flag"), stream);
  const CUresult recorded = cuCtxRecordEvent(context_, event);
  if (recorded == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no events of contexts";
  OK(recorded);
  EXPECT_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  blocker.release();
  EXPECT_EQ(cuEventSynchronize(event), CUDA_SUCCESS);
}
#endif

}  // namespace
