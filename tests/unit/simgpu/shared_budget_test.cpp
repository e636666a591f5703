// Shared memory counts where it was made, and there only; its pages are not handed out again.
#include <unistd.h>

#include <vector>

#include "device.h"

namespace {

class SharedBudget : public Device {
 protected:
  static std::size_t used() {
    SimgpuMemory memory{};
    simgpu_memory(0, &memory);
    return memory.hbm_used;
  }
  static CUmemGenericAllocationHandle create_exportable(std::size_t size) {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    CUmemGenericAllocationHandle handle = 0;
    EXPECT_EQ(cuMemCreate(&handle, size, &properties, 0), CUDA_SUCCESS);
    return handle;
  }
};

TEST_F(SharedBudget, IsOfTheExporterAlone) {
  const std::size_t before = used();
  const CUmemGenericAllocationHandle handle = create_exportable(4 * kPage);
  int file = -1;
  ASSERT_EQ(
      cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
      CUDA_SUCCESS);
  CUmemGenericAllocationHandle imported = 0;
  ASSERT_EQ(cuMemImportFromShareableHandle(
                &imported, reinterpret_cast<void*>(static_cast<std::intptr_t>(file)),
                CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
            CUDA_SUCCESS);
  EXPECT_EQ(used() - before, 4 * kPage);
  EXPECT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
  EXPECT_EQ(used(), before);
  EXPECT_EQ(cuMemRelease(imported), CUDA_SUCCESS);
  EXPECT_EQ(used(), before);
  close(file);
}

TEST_F(SharedBudget, StaysWholeHoweverMuchWasExported) {
  SimgpuMemory memory{};
  simgpu_memory(0, &memory);
  const std::size_t half = memory.hbm_budget / kPage / 2 * kPage;
  for (int i = 0; i < 8; ++i) {  // four times what there is
    const CUmemGenericAllocationHandle handle = create_exportable(half);
    int file = -1;
    ASSERT_EQ(
        cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_SUCCESS);
    close(file);
    ASSERT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
  }
  CUmemGenericAllocationHandle most = 0;
  EXPECT_EQ(create(&most, CU_MEM_LOCATION_TYPE_DEVICE, memory.hbm_budget + kPage),
            CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(create(&most, CU_MEM_LOCATION_TYPE_DEVICE, memory.hbm_budget - memory.hbm_used),
            CUDA_SUCCESS);
  EXPECT_EQ(cuMemRelease(most), CUDA_SUCCESS);
}

}  // namespace
