// Two devices: kernels of the second use memory of the first, which is paged, as they use
// cuMemAlloc's memory after cuCtxEnablePeerAccess (cuda.h).
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "gpu_test.h"
#include "interpose_kernels.h"
#include "simgpu/control.h"
#include "simgpu/gpu_image.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;
constexpr std::size_t pieces = 2 * hbm_limit / piece;

class PeerTest : public GpuTest {
 protected:
  PeerTest() {
    EXPECT_CUDA(cuDevicePrimaryCtxRetain(&other_context_, 1));
    const OnOther scope(*this);
    EXPECT_CUDA(cuStreamCreate(&other_stream_, CU_STREAM_NON_BLOCKING));
    EXPECT_CUDA(gpu_image::load(interpose_kernels_images(), &other_module_));
    EXPECT_CUDA(cuModuleGetFunction(&other_fill_, other_module_, "fill_words"));
    EXPECT_CUDA(cuModuleGetFunction(&other_add_, other_module_, "add_to_span"));
  }
  ~PeerTest() override {
    for (CUdeviceptr one : memory_) EXPECT_CUDA(cuMemFree(one));
    {
      const OnOther scope(*this);
      EXPECT_CUDA(cuStreamDestroy(other_stream_));
      EXPECT_CUDA(cuModuleUnload(other_module_));
    }
    EXPECT_CUDA(cuDevicePrimaryCtxRelease(1));
    EXPECT_EQ(stat("frozen"), 0u);
  }

  // The second device's context is current while this lives.
  class OnOther {
   public:
    explicit OnOther(const PeerTest& test) { EXPECT_CUDA(cuCtxPushCurrent(test.other_context_)); }
    ~OnOther() {
      CUcontext popped = nullptr;
      EXPECT_CUDA(cuCtxPopCurrent(&popped));
    }
  };
  [[nodiscard]] CUresult enable() const {
    const OnOther scope(*this);
    return cuCtxEnablePeerAccess(context_, 0);
  }
  [[nodiscard]] CUresult disable() const {
    const OnOther scope(*this);
    return cuCtxDisablePeerAccess(context_);
  }
  void allocate(std::size_t count) {
    for (; count > 0; --count) {
      CUdeviceptr one = 0;
      ASSERT_CUDA(cuMemAlloc(&one, piece));
      memory_.push_back(one);
    }
  }
  // As fill() and add(), by a kernel of the second device, and waiting.
  CUresult fill_from_other(CUdeviceptr words, std::uint32_t seed) {
    const OnOther scope(*this);
    std::uint64_t count = piece / sizeof(std::uint32_t);
    void* parameters[] = {&words, &count, &seed};
    const CUresult launched =
        cuLaunchKernel(other_fill_, 4, 1, 1, 64, 1, 1, 0, other_stream_, parameters, nullptr);
    return launched != CUDA_SUCCESS ? launched : cuStreamSynchronize(other_stream_);
  }
  CUresult add_from_other(CUdeviceptr words, std::uint32_t value) {
    const OnOther scope(*this);
    Span span{piece / sizeof(std::uint32_t), words};
    void* parameters[] = {&span, &value};
    const CUresult launched =
        cuLaunchKernel(other_add_, 4, 1, 1, 64, 1, 1, 0, other_stream_, parameters, nullptr);
    return launched != CUDA_SUCCESS ? launched : cuStreamSynchronize(other_stream_);
  }
  // Uses a piece from its own device until so many bytes came to HBM.
  void page(CUdeviceptr hot, std::uint64_t bytes) {
    const std::uint64_t before = stat("promoted_bytes");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (stat("promoted_bytes") - before < bytes) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing moved";
      add(hot, piece, 0);
      ASSERT_CUDA(cuStreamSynchronize(stream_));
    }
  }

  CUcontext other_context_ = nullptr;
  CUstream other_stream_ = nullptr;
  CUmodule other_module_ = nullptr;
  CUfunction other_fill_ = nullptr, other_add_ = nullptr;
  std::vector<CUdeviceptr> memory_;
};

// Of a process of its own, whose context a fault loses.
bool passes_alone(const char* name) {
  const std::string command = "/proc/" + std::to_string(getpid()) +
                              "/exe --gtest_also_run_disabled_tests --gtest_brief=1 "
                              "--gtest_filter='*.DISABLED_" +
                              name + "' 1>&2";
  return std::system(command.c_str()) == 0;
}

TEST_F(PeerTest, KernelsOfTheOtherDeviceUseWhatMovesMeanwhile) {
  ASSERT_CUDA(enable());
  allocate(pieces);
  for (std::size_t i = 0; i < pieces; ++i) {
    ASSERT_CUDA(fill_from_other(memory_[i], static_cast<std::uint32_t>(i)));
  }
  std::uint32_t added = 0;
  const std::uint64_t before = stat("promoted_bytes");
  // Each turn uses what went to host memory in the turn before, from both devices at once.
  for (std::uint32_t turn = 0; turn < 4; ++turn) {
    std::thread own([&] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      page(memory_[turn % 2 == 0 ? pieces - 1 : 0], 2 * mebibyte);
    });
    for (CUdeviceptr one : memory_) EXPECT_CUDA(add_from_other(one, 1));
    ++added;
    own.join();
  }
  EXPECT_GE(stat("promoted_bytes") - before, 8 * mebibyte);
  for (std::size_t i = 0; i < pieces; ++i) {
    EXPECT_TRUE(holds(memory_[i], piece, static_cast<std::uint32_t>(i), added)) << "piece " << i;
  }
  ASSERT_CUDA(disable());
}

TEST_F(PeerTest, NothingMovesWhileTheOtherDeviceWorks) {
  allocate(pieces);
  ASSERT_CUDA(enable());
  std::atomic<bool> ended{false};
  {
    const OnOther scope(*this);
    ASSERT_CUDA(cuLaunchHostFunc(
        other_stream_,
        [](void* data) {
          while (!static_cast<std::atomic<bool>*>(data)->load()) std::this_thread::yield();
        },
        &ended));
  }
  const std::uint64_t moved = stat("promoted_bytes");
  const std::uint64_t given_up = stat("flips_abandoned_deadline");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  // Work that is in flight during all of a flip's patience, three times.
  while (stat("flips_abandoned_deadline") < given_up + 3 && stat("promoted_bytes") == moved &&
         std::chrono::steady_clock::now() < deadline) {
    add(memory_.back(), piece, 0);
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  }
  EXPECT_EQ(stat("promoted_bytes"), moved);
  EXPECT_GE(stat("flips_abandoned_deadline"), given_up + 3);
  ended = true;
  page(memory_.back(), mebibyte);
  ASSERT_CUDA(disable());
}

TEST_F(PeerTest, AccessIsToWhatWasAllocatedBeforeAndAfter) {
  allocate(pieces / 2);
  ASSERT_CUDA(enable());
  EXPECT_EQ(enable(), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  allocate(pieces / 2);
  for (std::size_t i = 0; i < pieces; ++i) {
    ASSERT_CUDA(fill_from_other(memory_[i], static_cast<std::uint32_t>(i))) << "piece " << i;
    EXPECT_TRUE(holds(memory_[i], piece, static_cast<std::uint32_t>(i))) << "piece " << i;
  }
  ASSERT_CUDA(disable());
  EXPECT_EQ(disable(), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

TEST_F(PeerTest, AccessThatCannotBeGivenEverywhereIsGivenNowhere) {
  const auto set_faults =
      reinterpret_cast<decltype(&simgpu_set_faults)>(dlsym(RTLD_DEFAULT, "simgpu_set_faults"));
  if (set_faults == nullptr) GTEST_SKIP() << "only the simulated driver fails when told to";
  allocate(3);
  ASSERT_EQ(set_faults("cuMemSetAccess:2=2"), 1);
  EXPECT_EQ(enable(), CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_EQ(set_faults(""), 1);
  EXPECT_EQ(disable(), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  ASSERT_CUDA(enable());
  for (CUdeviceptr one : memory_) EXPECT_CUDA(fill_from_other(one, 5));
  ASSERT_CUDA(disable());
}

TEST_F(PeerTest, WithoutAccessARegionIsNotReached) {
  EXPECT_TRUE(passes_alone("NeverEnabled"));
}
TEST_F(PeerTest, AfterAccessWasDisabledARegionIsNotReached) {
  EXPECT_TRUE(passes_alone("NoLonger"));
}
TEST_F(PeerTest, AccessEndsWithTheContextThatHadIt) {
  EXPECT_TRUE(passes_alone("ContextGone"));
}

// A stray access loses the context, and the process ends without giving anything back.
class PeerTestAlone : public PeerTest {
 protected:
  void expect_out_of_reach() {
    EXPECT_EQ(fill_from_other(memory_.front(), 2), CUDA_ERROR_ILLEGAL_ADDRESS);
    const bool failed = HasFailure();
    std::fflush(nullptr);
    std::_Exit(failed ? 1 : 0);
  }
};

TEST_F(PeerTestAlone, DISABLED_NeverEnabled) {
  allocate(pieces);
  expect_out_of_reach();
}

TEST_F(PeerTestAlone, DISABLED_NoLonger) {
  allocate(1);
  ASSERT_CUDA(enable());
  ASSERT_CUDA(fill_from_other(memory_.front(), 1));
  ASSERT_CUDA(disable());
  expect_out_of_reach();
}

TEST_F(PeerTestAlone, DISABLED_ContextGone) {
  CUcontext second = nullptr;
  ASSERT_CUDA(cuCtxCreate(&second, nullptr, 0, 1));
  ASSERT_CUDA(cuCtxEnablePeerAccess(context_, 0));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  allocate(1);
  // Access is of devices: what one context of a device may, mapped memory lets all of them.
  ASSERT_CUDA(fill_from_other(memory_.front(), 1));
  ASSERT_CUDA(cuCtxDestroy(second));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  expect_out_of_reach();
}

}  // namespace
