// Accesses that a GPU does not forgive: the context is lost, so each happens in a process of its
// own. CUDA_ERROR_ILLEGAL_ADDRESS, cuda.h: "This leaves the process in an inconsistent state and
// any further CUDA work will return the same error."
#include "virtual_memory.h"

using namespace conformance;

namespace {

using IllegalAccess = OnDevice;

TEST_F(IllegalAccess, StaysWithTheContext) {
  EXPECT_TRUE(passes_alone("StaysWithTheContext"));
}
TEST_F(IllegalAccess, ToUnmappedMemory) {
  EXPECT_TRUE(passes_alone("ToUnmappedMemory"));
}
TEST_F(IllegalAccess, WithoutAccessRights) {
  EXPECT_TRUE(passes_alone("WithoutAccessRights"));
}
TEST_F(IllegalAccess, WritingWhatIsReadOnly) {
  EXPECT_TRUE(passes_alone("WritingWhatIsReadOnly"));
}
TEST_F(IllegalAccess, ToReservedAddresses) {
  EXPECT_TRUE(passes_alone("ToReservedAddresses"));
}
TEST_F(IllegalAccess, ToNull) {
  EXPECT_TRUE(passes_alone("ToNull"));
}

class Alone : public VirtualMemory {
 protected:
  CUresult fill(CUdeviceptr address) {
    EXPECT_EQ(launch(kernel("fill"), 1024, nullptr, address, 1u, 1024u), CUDA_SUCCESS);
    return cuCtxSynchronize();
  }
  // The context is lost: nothing of it can be given back.
  void TearDown() override {}
};

TEST_F(Alone, DISABLED_StaysWithTheContext) {
  EXPECT_EQ(fill(reserve(1)), CUDA_ERROR_ILLEGAL_ADDRESS);
  CUdeviceptr address = 0;
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuMemAlloc(&address, kMiB), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuStreamSynchronize(nullptr), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Alone, DISABLED_ToUnmappedMemory) {
  const CUdeviceptr address = ready(1);
  EXPECT_EQ(fill(address), CUDA_SUCCESS);
  unmap(address);
  EXPECT_EQ(fill(address), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Alone, DISABLED_WithoutAccessRights) {
  const CUdeviceptr address = reserve(1);
  map(address, create(1), 1);
  EXPECT_EQ(fill(address), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Alone, DISABLED_WritingWhatIsReadOnly) {
  const CUdeviceptr address = ready(1);
  EXPECT_EQ(fill(address), CUDA_SUCCESS);
  if (give_access(address, 1, CU_MEM_ACCESS_FLAGS_PROT_READ) != CUDA_SUCCESS) {
    GTEST_SKIP() << "this driver gives no read-only access";
  }
  EXPECT_EQ(fill(address), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Alone, DISABLED_ToReservedAddresses) {
  EXPECT_EQ(fill(reserve(1)), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Alone, DISABLED_ToNull) {
  EXPECT_EQ(fill(0), CUDA_ERROR_ILLEGAL_ADDRESS);
}

}  // namespace
