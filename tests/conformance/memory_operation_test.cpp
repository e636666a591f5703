// Stream memory operations: waits for a word of memory and writes of one, in the order of a stream.
#include <chrono>
#include <thread>

#include "on_device.h"

using namespace conformance;

namespace {

class MemoryOperation : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (!has(CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS)) {
      GTEST_SKIP() << "this device has no 64-bit stream memory operations";
    }
    OK(cuMemHostAlloc(&host_, 64, CU_MEMHOSTALLOC_DEVICEMAP));
    OK(cuMemHostGetDevicePointer(&word_, host_, 0));
    store(0);
    stream_ = make_stream();
  }
  void TearDown() override {
    if (host_ != nullptr) {
      cuCtxSynchronize();
      cuMemFreeHost(host_);
    }
    OnDevice::TearDown();
  }

  bool has(CUdevice_attribute attribute) const {
    int value = 0;
    cuDeviceGetAttribute(&value, attribute, device_);
    return value != 0;
  }
  void store(cuuint64_t value) {
    __atomic_store_n(static_cast<cuuint64_t*>(host_), value, __ATOMIC_RELEASE);
  }
  cuuint64_t load() const {
    return __atomic_load_n(static_cast<cuuint64_t*>(host_), __ATOMIC_ACQUIRE);
  }
  // Whether the stream, left alone, still waits.
  bool still_waits() const {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return cuStreamQuery(stream_) == CUDA_ERROR_NOT_READY;
  }
  // Waits by `flags` for `value`, is not satisfied by `before` and is by `after`.
  void expect_wait(unsigned flags, cuuint32_t value, cuuint32_t before, cuuint32_t after) {
    store(before);
    OK(cuStreamWaitValue32(stream_, word_, value, flags));
    EXPECT_TRUE(still_waits()) << before << " satisfied the wait for " << value;
    store(after);
    EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  }

  void* host_ = nullptr;
  CUdeviceptr word_ = 0;
  CUstream stream_ = nullptr;
};

TEST_F(MemoryOperation, WorkAfterAWaitBlocksUntilTheConditionHolds) {
  // cuda.h, cuStreamWaitValue32: "Work ordered after the operation will block until the given
  // condition on the memory is satisfied."
  const CUdeviceptr memory = allocate(4096);
  OK(cuMemsetD32(memory, 1, 1024));
  OK(cuCtxSynchronize());
  OK(cuStreamWaitValue32(stream_, word_, 7, CU_STREAM_WAIT_VALUE_EQ));
  OK(launch(kernel("fill"), 1024, stream_, memory, 2u, 1024u));
  EXPECT_TRUE(still_waits());
  store(7);
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(read(memory, 1024), Words(1024, 2u));
}

TEST_F(MemoryOperation, TheDefaultComparisonIsCyclic) {
  // cuda.h, CU_STREAM_WAIT_VALUE_GEQ: "Wait until (int32_t)(*addr - value) >= 0 … a cyclic
  // comparison which ignores wraparound."
  expect_wait(CU_STREAM_WAIT_VALUE_GEQ, 5, 4, 6);
  expect_wait(CU_STREAM_WAIT_VALUE_GEQ, 0xfffffffe, 0xfffffffd, 1);
}

TEST_F(MemoryOperation, AndWaitsForACommonBit) {
  // cuda.h, CU_STREAM_WAIT_VALUE_AND: "Wait until (*addr & value) != 0."
  expect_wait(CU_STREAM_WAIT_VALUE_AND, 0b0110, 0b1001, 0b0010);
}

TEST_F(MemoryOperation, NorWaitsForABitThatNeitherHas) {
  // cuda.h, CU_STREAM_WAIT_VALUE_NOR: "Wait until ~(*addr | value) != 0."
  if (!has(CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR)) GTEST_SKIP() << "no such wait";
  expect_wait(CU_STREAM_WAIT_VALUE_NOR, 0x0000ffff, 0xffff0000, 0x7fff0000);
}

TEST_F(MemoryOperation, A64BitWaitComparesAll64Bits) {
  const cuuint64_t value = 0x100000000ull;
  store(value - 1);
  OK(cuStreamWaitValue64(stream_, word_, value, CU_STREAM_WAIT_VALUE_GEQ));
  EXPECT_TRUE(still_waits());
  store(value);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
}

TEST_F(MemoryOperation, AWaitMayFlushRemoteWritesWhereTheDeviceCan) {
  if (!has(CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES))
    GTEST_SKIP() << "no flush of remote writes";
  expect_wait(CU_STREAM_WAIT_VALUE_EQ | CU_STREAM_WAIT_VALUE_FLUSH, 3, 2, 3);
}

TEST_F(MemoryOperation, WritesFollowTheWorkBefore) {
  Blocker blocker(kernel("wait_for_flag"), stream_);
  OK(blocker.launched());
  OK(cuStreamWriteValue32(stream_, word_, 9, CU_STREAM_WRITE_VALUE_DEFAULT));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(load(), 0u);
  blocker.release();
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(load(), 9u);
}

TEST_F(MemoryOperation, AWriteLeavesTheBytesBesideIt) {
  store(0x1111111122222222ull);
  OK(cuStreamWriteValue32(stream_, word_, 9, 0));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(load(), 0x1111111100000009ull);
  OK(cuStreamWriteValue64(stream_, word_, 0x3333333344444444ull, 0));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(load(), 0x3333333344444444ull);
}

TEST_F(MemoryOperation, OneStreamsWriteEndsAnothersWait) {
  const CUdeviceptr flag = allocate(64), memory = allocate(4096);
  OK(cuMemsetD32(flag, 0, 1));
  OK(cuCtxSynchronize());
  CUstream writer = make_stream();
  OK(launch(kernel("fill"), 1024, writer, memory, 20u, 1024u));
  OK(cuStreamWriteValue32(writer, flag, 1, 0));
  OK(cuStreamWaitValue32(stream_, flag, 1, CU_STREAM_WAIT_VALUE_EQ));
  OK(launch(kernel("add_one"), 1024, stream_, memory, 1024u));
  EXPECT_EQ(read(memory, 1024), Words(1024, 21u));
}

TEST_F(MemoryOperation, ABatchRunsInTheOrderOfTheArray) {
  // cuda.h, cuStreamBatchMemOp: "The operations are enqueued in the order they appear in the
  // array."
  CUstreamBatchMemOpParams batch[3]{};
  batch[0].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
  batch[0].waitValue.address = word_;
  batch[0].waitValue.value = 1;
  batch[0].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
  batch[1].memoryBarrier.operation = CU_STREAM_MEM_OP_BARRIER;
  batch[1].memoryBarrier.flags = CU_STREAM_MEMORY_BARRIER_TYPE_SYS;
  batch[2].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
  batch[2].writeValue.address = word_;
  batch[2].writeValue.value64 = 0x500000000ull;
  OK(cuStreamBatchMemOp(stream_, 3, batch, 0));
  EXPECT_TRUE(still_waits());
  EXPECT_EQ(load(), 0u);
  store(1);
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(load(), 0x500000000ull);
}

TEST_F(MemoryOperation, ABatchHasLessThan256OperationsAndNoFlags) {
  // cuda.h, cuStreamBatchMemOp: "Must be less than 256." and "Reserved for future expansion; must
  // be 0."
  CUstreamBatchMemOpParams write{};
  write.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
  write.writeValue.address = word_;
  std::vector<CUstreamBatchMemOpParams> batch(256, write);
  EXPECT_EQ(cuStreamBatchMemOp(stream_, 255, batch.data(), 0), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamBatchMemOp(stream_, 256, batch.data(), 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuStreamBatchMemOp(stream_, 1, batch.data(), 1), CUDA_ERROR_INVALID_VALUE);
  batch[0].operation = static_cast<CUstreamBatchMemOpType>(99);
  EXPECT_EQ(cuStreamBatchMemOp(stream_, 1, batch.data(), 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(MemoryOperation, TheSecondVersionHasNoWriteWithoutABarrier) {
  // cuda.h, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER: "This flag is not supported in the v2 API."
  EXPECT_NE(cuStreamWriteValue32(stream_, word_, 1, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER),
            CUDA_SUCCESS);
}

TEST_F(MemoryOperation, CapturedOnesAreNodesOfAGraph) {
  // cuda.h, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: "Batch MemOp Node"
  OK(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuStreamWriteValue32(stream_, word_, 12, 0));
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(stream_, &graph));
  CUgraphNode node = nullptr;
  std::size_t count = 1;
  OK(cuGraphGetNodes(graph, &node, &count));
  CUgraphNodeType type{};
  OK(cuGraphNodeGetType(node, &type));
  EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
  EXPECT_EQ(load(), 0u);
  CUgraphExec exec = nullptr;
  OK(cuGraphInstantiate(&exec, graph, 0));
  OK(cuGraphLaunch(exec, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(load(), 12u);
  OK(cuGraphExecDestroy(exec));
  OK(cuGraphDestroy(graph));
}

TEST_F(MemoryOperation, NullMeansTheThreadsOwnStreamInPerThreadVariants) {
  void* function = nullptr;
  OK(cuGetProcAddress("cuStreamWaitValue32", &function, 11070,
                      CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, nullptr));
  const auto wait =
      reinterpret_cast<CUresult (*)(CUstream, CUdeviceptr, cuuint32_t, unsigned)>(function);
  OK(wait(nullptr, word_, 1, CU_STREAM_WAIT_VALUE_EQ));
  EXPECT_EQ(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_SUCCESS);
  store(1);
  EXPECT_EQ(cuStreamSynchronize(CU_STREAM_PER_THREAD), CUDA_SUCCESS);
}

}  // namespace
