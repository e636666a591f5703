// A primary context that ends in one thread, which waits for its work, while another thread ends it
// too or wants it again.
#include <atomic>
#include <chrono>
#include <thread>

#include "device.h"

namespace {

class ContextRevival : public Device {
 protected:
  void TearDown() override {
    if (ending_.joinable()) ending_.join();
    Device::TearDown();
  }

  // Returns when the other thread is inside `call`, and stays there for want of finish_work().
  template <typename Call>
  void end_in_other_thread(Call call) {
    const auto wait = [](void* flag) {
      while (!static_cast<std::atomic<bool>*>(flag)->load()) std::this_thread::yield();
    };
    ASSERT_EQ(cuLaunchHostFunc(CU_STREAM_LEGACY, wait, &finished_), CUDA_SUCCESS);
    ending_ = std::thread([call] { EXPECT_EQ(call(), CUDA_SUCCESS); });
    CUdevice device = 0;
    while (cuCtxGetDevice(&device) == CUDA_SUCCESS) std::this_thread::yield();
  }
  // A little later, so that what the calling thread does next comes first.
  void finish_work_soon() {
    finishing_ = std::jthread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      finished_ = true;
    });
  }
  // That the streams run, and memory is whose it was given to.
  static void expect_works() {
    CUcontext context = nullptr;
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(context), CUDA_SUCCESS);
    CUdeviceptr address = 0;
    unsigned char byte = 0;
    ASSERT_EQ(cuMemAlloc(&address, kPage), CUDA_SUCCESS);
    ASSERT_EQ(cuMemsetD8(address, 7, kPage), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyDtoH(&byte, address, 1), CUDA_SUCCESS);
    EXPECT_EQ(byte, 7);
    EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS);
    EXPECT_EQ(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
  }

  std::atomic<bool> finished_{false};
  std::thread ending_;
  std::jthread finishing_;
};

TEST_F(ContextRevival, TwoThreadsResetItAtOnce) {
  end_in_other_thread([] { return cuDevicePrimaryCtxReset(0); });
  finish_work_soon();
  EXPECT_EQ(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
  ending_.join();
  expect_works();
}

TEST_F(ContextRevival, WhoRetainsItDuringItsLastReleaseGetsItNew) {
  end_in_other_thread([] { return cuDevicePrimaryCtxRelease(0); });
  finish_work_soon();
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), CUDA_SUCCESS);
  CUdeviceptr address = 0;
  ASSERT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc(&address, kPage), CUDA_SUCCESS);
  ending_.join();
  EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS) << "the release took what came after it";
  expect_works();
}

TEST_F(ContextRevival, WhoReleasesItDuringAResetEndsItAfterwards) {
  end_in_other_thread([] { return cuDevicePrimaryCtxReset(0); });
  finish_work_soon();
  EXPECT_EQ(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
  ending_.join();
  unsigned flags = 0;
  int active = 1;
  EXPECT_EQ(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
  EXPECT_EQ(active, 0);
  expect_works();
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), CUDA_SUCCESS);  // for TearDown
}

}  // namespace
