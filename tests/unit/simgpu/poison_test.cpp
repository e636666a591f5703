// Memory that was someone's before does not come back as zeros, nor as it was.
#include <algorithm>
#include <vector>

#include "device.h"

namespace {

class Poison : public Device {};

TEST_F(Poison, RecycledMemoryHoldsNeitherZerosNorTheOldBytes) {
  std::vector<unsigned char> bytes(kPage, 0x5a);
  CUdeviceptr memory = 0;
  ASSERT_EQ(cuMemAlloc(&memory, kPage), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyHtoD(memory, bytes.data(), kPage), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFree(memory), CUDA_SUCCESS);
  // The pool is first fit, so the same page comes back.
  ASSERT_EQ(cuMemAlloc(&memory, kPage), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyDtoH(bytes.data(), memory, kPage), CUDA_SUCCESS);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0x5a), 0);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), 0);
  EXPECT_EQ(cuMemFree(memory), CUDA_SUCCESS);
}

TEST_F(Poison, MemoryInUseIsCountedUntilTheLastReferenceGoes) {
  SimgpuMemory before{}, during{}, after{};
  simgpu_memory(0, &before);
  CUmemGenericAllocationHandle handle = 0;
  ASSERT_EQ(create(&handle, CU_MEM_LOCATION_TYPE_DEVICE, 3 * kPage), CUDA_SUCCESS);
  CUdeviceptr address = 0;
  ASSERT_EQ(cuMemAddressReserve(&address, 3 * kPage, 0, 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuMemMap(address, 3 * kPage, 0, handle, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
  simgpu_memory(0, &during);
  EXPECT_EQ(during.hbm_used - before.hbm_used, 3 * kPage);
  ASSERT_EQ(cuMemUnmap(address, 3 * kPage), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAddressFree(address, 3 * kPage), CUDA_SUCCESS);
  simgpu_memory(0, &after);
  EXPECT_EQ(after.hbm_used, before.hbm_used);
  EXPECT_GE(after.hbm_peak, before.hbm_used + 3 * kPage);
}

}  // namespace
