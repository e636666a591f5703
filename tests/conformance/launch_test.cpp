// Launches: shapes, parameters in both packings, shared memory, barriers and atomics.
#include <numeric>

#include "on_device.h"

using namespace conformance;

namespace {

using Launch = OnDevice;

TEST_F(Launch, EveryThreadOfEveryBlockRunsOnce) {
  const CUdeviceptr total = allocate(sizeof(unsigned));
  OK(cuMemsetD32(total, 0, 1));
  CUdeviceptr argument = total;
  void* parameters[] = {&argument};
  OK(cuLaunchKernel(kernel("count_threads"), 3, 2, 2, 8, 4, 2, 0, nullptr, parameters, nullptr));
  EXPECT_EQ(read(total, 1)[0], 12u * 64u);
}

TEST_F(Launch, AnEmptyGridOrBlockIsInvalid) {
  CUdeviceptr total = allocate(sizeof(unsigned));
  void* parameters[] = {&total};
  CUfunction function = kernel("count_threads");
  EXPECT_EQ(cuLaunchKernel(function, 0, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuLaunchKernel(function, 1, 1, 1, 1, 0, 1, 0, nullptr, parameters, nullptr),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Launch, TooManyThreadsInABlockAreInvalid) {
  CUdeviceptr total = allocate(sizeof(unsigned));
  void* parameters[] = {&total};
  EXPECT_EQ(
      cuLaunchKernel(kernel("count_threads"), 1, 1, 1, 2048, 1, 1, 0, nullptr, parameters, nullptr),
      CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Launch, ParametersAreTakenAtTheCall) {
  const CUdeviceptr memory = allocate(4096);
  CUstream stream = make_stream();
  CUdeviceptr address = memory;
  unsigned value = 1, count = 1024;
  void* parameters[] = {&address, &value, &count};
  {
    Blocker blocker(kernel("wait_for_flag"), stream);
    OK(cuLaunchKernel(kernel("fill"), 4, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr));
    value = 2;
    address = 0;
  }
  EXPECT_EQ(read(memory, 1024), Words(1024, 1u));
}

TEST_F(Launch, ParametersMayComePacked) {
  // cuda.h, cuLaunchKernel: "CU_LAUNCH_PARAM_BUFFER_POINTER … a pointer to a buffer containing all
  // the kernel parameters"
  const CUdeviceptr memory = allocate(4096);
  struct {
    CUdeviceptr words;
    unsigned value, count;
  } packed{memory, 23, 1024};
  std::size_t size = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  OK(cuLaunchKernel(kernel("fill"), 4, 1, 1, 256, 1, 1, 0, nullptr, nullptr, extra));
  EXPECT_EQ(read(memory, 1024), Words(1024, 23u));
}

TEST_F(Launch, BothPackingsAtOnceAreInvalid) {
  // cuda.h, cuLaunchKernel: "The error CUDA_ERROR_INVALID_VALUE will be returned if kernel
  // parameters are specified with both kernelParams and extra"
  const CUdeviceptr memory = allocate(4096);
  struct {
    CUdeviceptr words;
    unsigned value, count;
  } packed{memory, 23, 1024};
  std::size_t size = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  void* parameters[] = {&packed.words, &packed.value, &packed.count};
  EXPECT_EQ(cuLaunchKernel(kernel("fill"), 4, 1, 1, 256, 1, 1, 0, nullptr, parameters, extra),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Launch, StructuresArePassedByValue) {
  const CUdeviceptr memory = allocate(64);
  struct {
    unsigned long long address;
    unsigned value;
  } pair{memory, 1000};
  char tag = 5;
  double factor = 2.5;
  void* parameters[] = {&tag, &pair, &factor};
  OK(cuLaunchKernel(kernel("store_pair"), 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr));
  EXPECT_EQ(read(memory, 1)[0], 1007u);
}

TEST_F(Launch, BarriersOrderSharedMemory) {
  Words values(256);
  std::iota(values.begin(), values.end(), 1u);
  const CUdeviceptr input = allocate(1024), sum = allocate(64);
  OK(cuMemcpyHtoD(input, values.data(), 1024));
  OK(launch(kernel("block_sum"), 256, nullptr, sum, input));
  EXPECT_EQ(read(sum, 1)[0], 256u * 257u / 2u);
}

TEST_F(Launch, SharedMemoryIsSizedByTheLaunch) {
  Words values(64), reversed(64);
  std::iota(values.begin(), values.end(), 0u);
  std::iota(reversed.rbegin(), reversed.rend(), 0u);
  CUdeviceptr memory = allocate(256);
  OK(cuMemcpyHtoD(memory, values.data(), 256));
  void* parameters[] = {&memory};
  OK(cuLaunchKernel(kernel("reverse"), 1, 1, 1, 64, 1, 1, 256, nullptr, parameters, nullptr));
  EXPECT_EQ(read(memory, 64), reversed);
}

TEST_F(Launch, MoreSharedMemoryThanAllowedIsInvalid) {
  CUdeviceptr memory = allocate(256);
  void* parameters[] = {&memory};
  EXPECT_EQ(
      cuLaunchKernel(kernel("reverse"), 1, 1, 1, 64, 1, 1, 64 << 10, nullptr, parameters, nullptr),
      CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Launch, ExtendedLaunchesRunTheSame) {
  CUdeviceptr memory = allocate(4096);
  unsigned value = 88, count = 1024;
  void* parameters[] = {&memory, &value, &count};
  CUlaunchConfig config{};
  config.gridDimX = 4;
  config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = 256;
  config.blockDimY = config.blockDimZ = 1;
  OK(cuLaunchKernelEx(&config, kernel("fill"), parameters, nullptr));
  EXPECT_EQ(read(memory, 1024), Words(1024, 88u));
}

TEST_F(Launch, CooperativeLaunchesRunTheSame) {
  CUdeviceptr memory = allocate(1024);
  unsigned value = 89, count = 256;
  void* parameters[] = {&memory, &value, &count};
  OK(cuLaunchCooperativeKernel(kernel("fill"), 1, 1, 1, 256, 1, 1, 0, nullptr, parameters));
  EXPECT_EQ(read(memory, 256), Words(256, 89u));
}

}  // namespace
