// Device memory from cuMemAlloc, and page-locked host memory.
#include <algorithm>

#include "on_device.h"

using namespace conformance;

namespace {

using Memory = OnDevice;

TEST_F(Memory, ZeroBytesAreInvalid) {
  // cuda.h, cuMemAlloc: "If bytesize is 0, cuMemAlloc() returns CUDA_ERROR_INVALID_VALUE."
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAlloc(&address, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, ANullResultIsInvalid) {
  EXPECT_EQ(cuMemAlloc(nullptr, 16), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, IsAlignedForAnyVariable) {
  // CUDA C++ Programming Guide, 5.3.2: "always aligned to at least 256 bytes"
  for (std::size_t bytes : {std::size_t{1}, std::size_t{300}, 3 * kMiB}) {
    EXPECT_EQ(allocate(bytes) % 256, 0u) << bytes;
  }
}

TEST_F(Memory, AllocationsDoNotOverlap) {
  const CUdeviceptr first = allocate(1000), second = allocate(1000);
  EXPECT_GE(std::max(first, second) - std::min(first, second), 1000u);
}

TEST_F(Memory, MoreThanThereIsIsOutOfMemoryAndTheNextFits) {
  CUdeviceptr address = 0;
  std::size_t total = 0;
  OK(cuDeviceTotalMem(&total, device_));
  EXPECT_EQ(cuMemAlloc(&address, total + kMiB), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_NE(allocate(kMiB), 0u);
}

TEST_F(Memory, FreeingNullIsHarmless) {
  EXPECT_EQ(cuMemFree(0), CUDA_SUCCESS);
}

TEST_F(Memory, FreeingTwiceIsInvalid) {
  CUdeviceptr address = 0;
  OK(cuMemAlloc(&address, 4 * kMiB));
  OK(cuMemFree(address));
  EXPECT_EQ(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, FreeingTheInsideIsInvalid) {
  // cuda.h, cuMemFree: "dptr, which must have been returned by a previous call to" an allocator
  const CUdeviceptr address = allocate(4 * kMiB);
  EXPECT_EQ(cuMemFree(address + 256), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, FreeMemoryShrinksAndGrowsBack) {
  std::size_t before = 0, during = 0, after = 0, total = 0;
  CUdeviceptr address = 0;
  OK(cuMemGetInfo(&before, &total));
  OK(cuMemAlloc(&address, 64 * kMiB));
  OK(cuMemGetInfo(&during, &total));
  OK(cuMemFree(address));
  OK(cuMemGetInfo(&after, &total));
  EXPECT_LE(during + 60 * kMiB, before);
  EXPECT_GE(after, during + 60 * kMiB);
}

TEST_F(Memory, FreeWaitsForTheWorkThatUsesIt) {
  // PyTorch, c10/cuda/CUDACachingAllocator.cpp, relies on it; cuda.h, cuMemFree, says only
  // "may perform implicit synchronization".
  CUdeviceptr memory = 0;
  OK(cuMemAlloc(&memory, 32 * kMiB));
  CUstream stream = make_stream();
  const auto count = static_cast<unsigned>(32 * kMiB / sizeof(unsigned));
  for (int i = 0; i < 4; ++i) OK(launch(kernel("add_one"), count, stream, memory, count));
  OK(cuMemFree(memory));
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
}

TEST_F(Memory, PitchIsAtLeastTheWidth) {
  CUdeviceptr address = 0;
  std::size_t pitch = 0;
  OK(cuMemAllocPitch(&address, &pitch, 1000, 10, 4));
  EXPECT_GE(pitch, 1000u);
  EXPECT_EQ(pitch % 16, 0u);
  OK(cuMemFree(address));
}

TEST_F(Memory, PitchWantsElementsOf4And8And16Bytes) {
  // cuda.h, cuMemAllocPitch: "ElementSizeBytes may be 4, 8, or 16"
  CUdeviceptr address = 0;
  std::size_t pitch = 0;
  EXPECT_EQ(cuMemAllocPitch(&address, &pitch, 1000, 10, 3), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, TheRangeOfAnInnerAddressIsTheAllocation) {
  const CUdeviceptr address = allocate(5 * kMiB);
  CUdeviceptr base = 0;
  std::size_t size = 0;
  OK(cuMemGetAddressRange(&base, &size, address + 3 * kMiB + 17));
  EXPECT_EQ(base, address);
  EXPECT_EQ(size, 5 * kMiB);
}

TEST_F(Memory, EitherPartOfTheRangeMayBeLeftOut) {
  // cuda.h, cuMemGetAddressRange: "Both parameters pbase and psize are optional."
  const CUdeviceptr address = allocate(5 * kMiB);
  std::size_t size = 0;
  EXPECT_EQ(cuMemGetAddressRange(nullptr, &size, address), CUDA_SUCCESS);
  EXPECT_EQ(size, 5 * kMiB);
}

TEST_F(Memory, UnknownAddressesHaveNoRange) {
  int local = 0;
  CUdeviceptr base = 0;
  std::size_t size = 0;
  EXPECT_NE(cuMemGetAddressRange(&base, &size, reinterpret_cast<CUdeviceptr>(&local)),
            CUDA_SUCCESS);
}

TEST_F(Memory, PageLockedHostMemoryHasADevicePointer) {
  void* host = nullptr;
  CUdeviceptr address = 0;
  OK(cuMemHostAlloc(&host, kMiB, CU_MEMHOSTALLOC_DEVICEMAP));
  OK(cuMemHostGetDevicePointer(&address, host, 0));
  OK(launch(kernel("fill"), 1024, nullptr, address, 5u, 1024u));
  OK(cuCtxSynchronize());
  const auto* words = static_cast<unsigned*>(host);
  EXPECT_EQ(std::count(words, words + 1024, 5u), 1024);
  OK(cuMemFreeHost(host));
}

TEST_F(Memory, HostMemoryIsFreedOnce) {
  void* host = nullptr;
  OK(cuMemAllocHost(&host, kMiB));
  OK(cuMemFreeHost(host));
  EXPECT_EQ(cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, RegisteredMemoryCannotBeRegisteredAgain) {
  std::vector<char> bytes(kMiB);
  OK(cuMemHostRegister(bytes.data(), bytes.size(), 0));
  EXPECT_EQ(cuMemHostRegister(bytes.data(), bytes.size(), 0),
            CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  OK(cuMemHostUnregister(bytes.data()));
}

TEST_F(Memory, WhatWasNotRegisteredCannotBeUnregistered) {
  std::vector<char> bytes(kMiB);
  EXPECT_EQ(cuMemHostUnregister(bytes.data()), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

}  // namespace
