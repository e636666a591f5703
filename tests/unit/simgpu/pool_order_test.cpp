// Stream-ordered memory is strict: work that the stream's order does not put between an allocation
// and its free faults. Each case loses its context, so each has one of its own.
#include <atomic>
#include <thread>

#include "device.h"

namespace {

class PoolOrder : public Device {
 protected:
  void SetUp() override {
    Device::SetUp();
    CUdevice device = 0;
    ASSERT_EQ(cuCtxCreate(&own_, nullptr, 0, device), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&other_, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  }
  void TearDown() override {
    release_ = true;
    cuCtxDestroy(own_);
    Device::TearDown();
  }
  // Keeps the stream from going on until release_ is set.
  CUresult block(CUstream stream) {
    return cuLaunchHostFunc(
        stream,
        [](void* flag) {
          while (!static_cast<std::atomic<bool>*>(flag)->load()) std::this_thread::yield();
        },
        &release_);
  }

  CUcontext own_ = nullptr;
  CUstream stream_ = nullptr, other_ = nullptr;
  std::atomic<bool> release_{false};
};

TEST_F(PoolOrder, MemoryFaultsBeforeItsAllocationIsReached) {
  CUdeviceptr address = 0;
  ASSERT_EQ(block(stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocAsync(&address, kPage, stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemsetD8Async(address, 1, kPage, other_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(other_), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(PoolOrder, MemoryFaultsAfterItsFreeWasReached) {
  CUdeviceptr address = 0;
  ASSERT_EQ(cuMemAllocAsync(&address, kPage, stream_), CUDA_SUCCESS);
  ASSERT_EQ(block(other_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemsetD8Async(address, 1, kPage, other_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFreeAsync(address, stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  release_ = true;
  EXPECT_EQ(cuStreamSynchronize(other_), CUDA_ERROR_ILLEGAL_ADDRESS);
}

}  // namespace
