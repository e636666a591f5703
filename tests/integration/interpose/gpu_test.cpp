// Statistics are read from the shared file, through the reader that the command uses.
#include "gpu_test.h"

#include <unistd.h>

#include <cstdlib>

#include "interpose_kernels.h"
#include "runtime/stats_reader.h"
#include "simgpu/gpu_image.h"

GpuTest::GpuTest(CUdevice device) {
  EXPECT_CUDA(cuInit(0));
  EXPECT_CUDA(cuDeviceGet(&device_, device));
  EXPECT_CUDA(cuDevicePrimaryCtxRetain(&context_, device_));
  EXPECT_CUDA(cuCtxSetCurrent(context_));
  EXPECT_CUDA(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  EXPECT_CUDA(gpu_image::load(interpose_kernels_images(), &module_));
  EXPECT_CUDA(cuModuleGetFunction(&fill_, module_, "fill_words"));
  EXPECT_CUDA(cuModuleGetFunction(&add_, module_, "add_to_span"));
}

GpuTest::~GpuTest() {
  EXPECT_CUDA(cuModuleUnload(module_));
  EXPECT_CUDA(cuStreamDestroy(stream_));
  EXPECT_CUDA(cuDevicePrimaryCtxRelease(device_));
}

void GpuTest::fill(CUdeviceptr words, std::size_t bytes, std::uint32_t seed) {
  std::uint64_t count = bytes / sizeof(std::uint32_t);
  void* parameters[] = {&words, &count, &seed};
  EXPECT_CUDA(cuLaunchKernel(fill_, 4, 1, 1, 64, 1, 1, 0, stream_, parameters, nullptr));
}

void GpuTest::add(CUdeviceptr words, std::size_t bytes, std::uint32_t value) {
  Span span{bytes / sizeof(std::uint32_t), words};
  void* parameters[] = {&span, &value};
  EXPECT_CUDA(cuLaunchKernel(add_, 4, 1, 1, 64, 1, 1, 0, stream_, parameters, nullptr));
}

::testing::AssertionResult GpuTest::holds(CUdeviceptr words, std::size_t bytes, std::uint32_t seed,
                                          std::uint32_t added) {
  std::vector<std::uint32_t> back(bytes / sizeof(std::uint32_t));
  CUresult result = cuMemcpyDtoHAsync(back.data(), words, bytes, stream_);
  if (result == CUDA_SUCCESS) result = cuStreamSynchronize(stream_);
  if (result != CUDA_SUCCESS) {
    return ::testing::AssertionFailure() << "reading back failed with " << result;
  }
  for (std::size_t i = 0; i < back.size(); ++i) {
    const std::uint32_t expected = seed + static_cast<std::uint32_t>(i) * 2654435761u + added;
    if (back[i] != expected) {
      return ::testing::AssertionFailure()
             << "word " << i << " is " << back[i] << ", expected " << expected;
    }
  }
  return ::testing::AssertionSuccess();
}

std::uint64_t GpuTest::stat(const std::string& name, CUdevice device) {
  const char* directory = std::getenv("VHBM_STATE_DIR");
  for (const auto& one : vhbm::read_live_stats(directory == nullptr ? "" : directory)) {
    if (one.pid != getpid() || one.device != device) continue;
    for (std::size_t i = 0; i < vhbm::stat_count; ++i) {
      if (name == vhbm::stat_rows[i].name) return one.values[i];
    }
  }
  ADD_FAILURE() << "this process shares no statistic " << name;
  return 0;
}
