// Virtual memory management over time: lifetimes, aliases, and one address on changing frames.
#include "virtual_memory.h"

using namespace conformance;

namespace {

using Remapping = VirtualMemory;

TEST_F(Remapping, ReleasedMemoryLivesWhileItIsMapped) {
  // cuda.h, cuMemUnmap: "allocations will be freed if there are no existing mappings and there are
  // no unreleased memory handles"
  const CUdeviceptr address = reserve(1);
  CUmemGenericAllocationHandle handle = 0;
  const CUmemAllocationProp properties = on_device();
  OK(cuMemCreate(&handle, unit_, &properties, 0));
  map(address, handle, 1);
  OK(give_access(address, 1));
  OK(cuMemRelease(handle));
  OK(launch(kernel("fill"), words(1), nullptr, address, 4u, words(1)));
  EXPECT_EQ(read(address, words(1)), Words(words(1), 4u));
}

TEST_F(Remapping, UnmappedMemoryLivesWhileAHandleDoes) {
  const CUdeviceptr first = reserve(1), second = reserve(1);
  const auto handle = create(1);
  map(first, handle, 1);
  OK(give_access(first, 1));
  OK(launch(kernel("fill"), words(1), nullptr, first, 12u, words(1)));
  OK(cuCtxSynchronize());
  unmap(first);
  map(second, handle, 1);
  OK(give_access(second, 1));
  EXPECT_EQ(read(second, words(1)), Words(words(1), 12u));
}

TEST_F(Remapping, MemoryComesBackAfterUnmapAndRelease) {
  std::size_t before = 0, during = 0, after = 0, total = 0;
  const std::size_t units = (64 * kMiB + unit_ - 1) / unit_;
  const CUdeviceptr address = reserve(units);
  OK(cuMemGetInfo(&before, &total));
  CUmemGenericAllocationHandle handle = 0;
  const CUmemAllocationProp properties = on_device();
  OK(cuMemCreate(&handle, units * unit_, &properties, 0));
  map(address, handle, units);
  OK(cuMemGetInfo(&during, &total));
  OK(cuMemRelease(handle));
  unmap(address);
  OK(cuMemGetInfo(&after, &total));
  EXPECT_LE(during + 60 * kMiB, before);
  EXPECT_GE(after, during + 60 * kMiB);
}

TEST_F(Remapping, TwoAddressesOfOneHandleShareTheirBytes) {
  // CUDA C++ Programming Guide, "Virtual Aliasing Support": writes through one are seen through the
  // other by later kernels.
  const CUdeviceptr first = reserve(1), second = reserve(1);
  const auto handle = create(1);
  map(first, handle, 1);
  map(second, handle, 1);
  OK(give_access(first, 1));
  OK(give_access(second, 1));
  OK(launch(kernel("fill"), words(1), nullptr, first, 21u, words(1)));
  OK(launch(kernel("add_one"), words(1), nullptr, second, words(1)));
  EXPECT_EQ(read(first, words(1)), Words(words(1), 22u));
}

TEST_F(Remapping, AnAddressShowsTheFrameThatIsMapped) {
  const CUdeviceptr address = reserve(1);
  const auto one = create(1), two = create(1);
  for (const auto& [handle, value] : {std::pair(one, 1u), std::pair(two, 2u)}) {
    map(address, handle, 1);
    OK(give_access(address, 1));
    OK(launch(kernel("fill"), words(1), nullptr, address, value, words(1)));
    OK(cuCtxSynchronize());
    unmap(address);
  }
  map(address, one, 1);
  OK(give_access(address, 1));
  EXPECT_EQ(read(address, words(1)), Words(words(1), 1u));
}

TEST_F(Remapping, AReadOnlyMappingCanBeRead) {
  const CUdeviceptr address = reserve(1);
  const auto handle = create(1);
  map(address, handle, 1);
  OK(give_access(address, 1));
  OK(launch(kernel("fill"), words(1), nullptr, address, 30u, words(1)));
  OK(cuCtxSynchronize());
  if (give_access(address, 1, CU_MEM_ACCESS_FLAGS_PROT_READ) != CUDA_SUCCESS) {
    GTEST_SKIP() << "this driver gives no read-only access";
  }
  EXPECT_EQ(read(address, words(1)), Words(words(1), 30u));
}

class HostFrames : public VirtualMemory {
 protected:
  void SetUp() override {
    VirtualMemory::SetUp();
    CUmemGenericAllocationHandle handle = 0;
    const CUmemAllocationProp properties = on_host();
    if (cuMemCreate(&handle, unit_, &properties, 0) != CUDA_SUCCESS) {
      GTEST_SKIP() << "this driver makes no HOST_NUMA memory";
    }
    cuMemRelease(handle);
  }
};

TEST_F(HostFrames, KernelsReadAndWriteThem) {
  const CUdeviceptr address = reserve(1);
  map(address, create(1, on_host()), 1);
  OK(give_access(address, 1));
  OK(launch(kernel("fill"), words(1), nullptr, address, 50u, words(1)));
  OK(launch(kernel("add_one"), words(1), nullptr, address, words(1)));
  EXPECT_EQ(read(address, words(1)), Words(words(1), 51u));
}

TEST_F(HostFrames, TakeNoDeviceMemory) {
  std::size_t before = 0, after = 0, total = 0;
  OK(cuMemGetInfo(&before, &total));
  create(16, on_host());
  OK(cuMemGetInfo(&after, &total));
  EXPECT_LT(before, after + 16 * unit_);
}

TEST_F(HostFrames, AnAddressMovesBetweenDeviceAndHostWithItsBytes) {
  const CUdeviceptr address = reserve(1), scratch = reserve(1);
  const auto hbm = create(1), host = create(1, on_host());
  map(address, hbm, 1);
  OK(give_access(address, 1));
  OK(launch(kernel("fill"), words(1), nullptr, address, 60u, words(1)));
  map(scratch, host, 1);
  OK(give_access(scratch, 1));
  OK(cuMemcpyDtoD(scratch, address, unit_));
  OK(cuCtxSynchronize());
  unmap(address);
  map(address, host, 1);
  OK(give_access(address, 1));
  OK(launch(kernel("add_one"), words(1), nullptr, address, words(1)));
  EXPECT_EQ(read(address, words(1)), Words(words(1), 61u));
}

TEST_F(HostFrames, OneCopySpansDeviceAndHostFrames) {
  const CUdeviceptr address = reserve(2);
  map(address, create(1), 1);
  map(address + unit_, create(1, on_host()), 1);
  OK(give_access(address, 2));
  const Words pattern(words(2), 0x5eedu);
  OK(cuMemcpyHtoD(address, pattern.data(), 2 * unit_));
  EXPECT_EQ(read(address, words(2)), pattern);
}

TEST_F(HostFrames, OneKernelSpansDeviceAndHostFrames) {
  const CUdeviceptr address = reserve(2);
  map(address, create(1), 1);
  map(address + unit_, create(1, on_host()), 1);
  OK(give_access(address, 2));
  OK(launch(kernel("fill"), words(2), nullptr, address, 70u, words(2)));
  EXPECT_EQ(read(address, words(2)), Words(words(2), 70u));
}

}  // namespace
