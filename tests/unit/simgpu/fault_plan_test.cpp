// Planned failures: the very call that was named fails, with the error that was named, and no
// other.
#include <vector>

#include "device.h"
#include "vector_math.h"

namespace {

class FaultPlan : public Device {};

TEST_F(FaultPlan, FailsTheNamedCallAndNoOther) {
  ASSERT_EQ(simgpu_set_faults("cuMemAlloc:2=2"), 1);
  CUdeviceptr first = 0, second = 0, third = 0;
  EXPECT_EQ(cuMemAlloc(&first, 1024), CUDA_SUCCESS);
  EXPECT_EQ(simgpu_faults_struck(), 0u);
  EXPECT_EQ(cuMemAlloc(&second, 1024), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cuMemAlloc(&third, 1024), CUDA_SUCCESS);
  EXPECT_EQ(simgpu_faults_struck(), 1u);
  EXPECT_EQ(cuMemFree(first), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree(third), CUDA_SUCCESS);
}

TEST_F(FaultPlan, FailsARangeOfCallsAndAllFromOneOn) {
  ASSERT_EQ(simgpu_set_faults("cuStreamCreate:1-2=304,cuEventCreate:2+=2"), 1);
  CUstream stream = nullptr;
  EXPECT_EQ(cuStreamCreate(&stream, 0), CUDA_ERROR_OPERATING_SYSTEM);
  EXPECT_EQ(cuStreamCreate(&stream, 0), CUDA_ERROR_OPERATING_SYSTEM);
  EXPECT_EQ(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamDestroy(stream), CUDA_SUCCESS);
  CUevent event = nullptr;
  EXPECT_EQ(cuEventCreate(&event, 0), CUDA_SUCCESS);
  for (int i = 0; i < 3; ++i) {
    CUevent none = nullptr;
    EXPECT_EQ(cuEventCreate(&none, 0), CUDA_ERROR_OUT_OF_MEMORY);
  }
  EXPECT_EQ(cuEventDestroy(event), CUDA_SUCCESS);
}

TEST_F(FaultPlan, NamesEveryVariantOfAFunction) {
  ASSERT_EQ(simgpu_set_faults("cuStreamQuery:1=999"), 1);
  void* variant = nullptr;
  ASSERT_EQ(cuGetProcAddress("cuStreamQuery", &variant, CUDA_VERSION,
                             CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, nullptr),
            CUDA_SUCCESS);
  EXPECT_EQ(reinterpret_cast<CUresult (*)(CUstream)>(variant)(nullptr), CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(cuStreamQuery(nullptr), CUDA_SUCCESS);
}

TEST_F(FaultPlan, RefusesWhatItCannotReadAndKeepsTheOldPlan) {
  ASSERT_EQ(simgpu_set_faults("cuMemAlloc:1=2"), 1);
  for (const char* bad : {"cuMemAlloc", "cuMemAlloc:0=2", "cuMemAlloc:x=2", "cuMemAlloc:1",
                          "cuMemAlloc:1=0", "cuMemAlloc:1=2x"}) {
    EXPECT_EQ(simgpu_set_faults(bad), 0) << bad;
  }
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAlloc(&address, 1024), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(FaultPlan, ExhaustedHostMemoryIsOutOfMemoryAndPasses) {
  std::vector<CUmemGenericAllocationHandle> handles;
  CUmemGenericAllocationHandle handle = 0;
  CUresult result = CUDA_SUCCESS;
  while ((result = create(&handle, CU_MEM_LOCATION_TYPE_HOST_NUMA, kPage)) == CUDA_SUCCESS) {
    handles.push_back(handle);
  }
  EXPECT_EQ(result, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(handles.size(), 32u);  // SIMGPU_HOST=64MiB
  ASSERT_EQ(cuMemRelease(handles.back()), CUDA_SUCCESS);
  EXPECT_EQ(create(&handles.back(), CU_MEM_LOCATION_TYPE_HOST_NUMA, kPage), CUDA_SUCCESS);
  for (auto each : handles) EXPECT_EQ(cuMemRelease(each), CUDA_SUCCESS);
}

// Last in this file's order: afterwards the context is of no use until it is reset.
TEST_F(FaultPlan, ALostDeviceFailsEveryCallFromThenOn) {
  CUmodule module = nullptr;
  ASSERT_EQ(gpu_image::load(vector_math_images(), &module), CUDA_SUCCESS);
  CUdeviceptr memory = 0;
  ASSERT_EQ(cuMemAlloc(&memory, 4096), CUDA_SUCCESS);
  ASSERT_EQ(simgpu_set_faults("device_lost:2"), 1);
  EXPECT_EQ(cuMemsetD8(memory, 1, 4096), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  EXPECT_EQ(cuMemsetD8(memory, 2, 4096), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(cuMemAlloc(&memory, 4096), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(cuDevicePrimaryCtxReset(0), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAlloc(&memory, 4096), CUDA_SUCCESS);
}

}  // namespace
