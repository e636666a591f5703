// The ground under the conformance tests: the first device, its primary context, and the tests'
// kernels. Every test states what the driver promises, in the words of cuda.h (13.0) or of a named
// source, and holds on a real GPU as on the simulated one.
#pragma once

#include <cuda.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#define OK(call) ASSERT_EQ(call, CUDA_SUCCESS)

namespace conformance {

constexpr std::size_t kMiB = std::size_t{1} << 20;

using Words = std::vector<unsigned>;

class OnDevice : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  CUfunction kernel(const char* name);
  // Launches one-dimensionally over `count` threads.
  template <typename... Args>
  CUresult launch(CUfunction function, unsigned count, CUstream stream, Args... args) {
    void* parameters[] = {&args..., nullptr};
    const unsigned block = count < 256 ? count : 256;
    return cuLaunchKernel(function, (count + block - 1) / block, 1, 1, block, 1, 1, 0, stream,
                          parameters, nullptr);
  }
  // The first words of device memory, read after all work has ended.
  Words read(CUdeviceptr address, std::size_t count);
  CUdeviceptr allocate(std::size_t bytes);
  CUstream make_stream(unsigned flags = CU_STREAM_NON_BLOCKING);

  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  std::vector<CUdeviceptr> allocations_;
  std::vector<CUstream> streams_;
};

// Work that does not end until it is told to, so that a test decides what is still in flight.
class Blocker {
 public:
  Blocker(CUfunction wait_for_flag, CUstream stream);
  ~Blocker();
  void release();
  CUresult launched() const { return launched_; }

 private:
  volatile unsigned* flag_ = nullptr;
  CUresult launched_ = CUDA_SUCCESS;
};

// Runs the disabled test `Alone.DISABLED_<name>` in a process of its own, for what a context does
// not survive. True when it passed.
bool passes_alone(const char* name);

}  // namespace conformance
