// What an application sees of its memory, and how allocation ends when there is none left.
#include "gpu_test.h"

namespace {

TEST_F(GpuTest, AllocatesUpToBothLimitsAndThenSaysOutOfMemoryOnly) {
  std::vector<CUdeviceptr> pieces;
  CUresult result = CUDA_SUCCESS;
  while (pieces.size() < 1000) {
    CUdeviceptr one = 0;
    result = cuMemAlloc(&one, 4 * mebibyte);
    if (result != CUDA_SUCCESS) break;
    pieces.push_back(one);
  }
  EXPECT_EQ(result, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_GT(pieces.size() * 4 * mebibyte, host_limit);
  EXPECT_LE(pieces.size() * 4 * mebibyte, hbm_limit + host_limit);
  // What is freed can be had again, and nothing that is live was harmed.
  fill(pieces[0], 4 * mebibyte, 1);
  ASSERT_CUDA(cuMemFree(pieces.back()));
  ASSERT_CUDA(cuMemAlloc(&pieces.back(), 4 * mebibyte));
  fill(pieces.back(), 4 * mebibyte, 2);
  EXPECT_TRUE(holds(pieces[0], 4 * mebibyte, 1));
  EXPECT_TRUE(holds(pieces.back(), 4 * mebibyte, 2));
  for (CUdeviceptr one : pieces) EXPECT_CUDA(cuMemFree(one));
}

TEST_F(GpuTest, RefusesAnAllocationThatCanNeverFit) {
  CUdeviceptr one = 0;
  EXPECT_EQ(cuMemAlloc(&one, std::size_t{1} << 46), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cuMemAlloc(&one, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemAlloc(nullptr, 4 * mebibyte), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GpuTest, TellsTheLimitAsTheDevice) {
  std::size_t free_before = 0, free_after = 0, total = 0;
  ASSERT_CUDA(cuMemGetInfo(&free_before, &total));
  EXPECT_EQ(total, hbm_limit);
  EXPECT_LE(free_before, total);
  ASSERT_CUDA(cuDeviceTotalMem(&total, device_));
  EXPECT_EQ(total, hbm_limit);
  CUdeviceptr one = 0;
  ASSERT_CUDA(cuMemAlloc(&one, 8 * mebibyte));
  ASSERT_CUDA(cuMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_before - free_after, 8 * mebibyte);
  CUdeviceptr beyond = 0;
  ASSERT_CUDA(cuMemAlloc(&beyond, 2 * hbm_limit));
  ASSERT_CUDA(cuMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_after, 0u);
  EXPECT_CUDA(cuMemFree(beyond));
  EXPECT_CUDA(cuMemFree(one));
  ASSERT_CUDA(cuMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_after, free_before);
}

TEST_F(GpuTest, LeavesSmallAllocationsToTheDriver) {
  const std::uint64_t regions = stat("regions");
  CUdeviceptr small = 0, large = 0;
  ASSERT_CUDA(cuMemAlloc(&small, mebibyte));
  EXPECT_EQ(stat("regions"), regions);
  EXPECT_EQ(stat("native_bytes"), mebibyte);
  ASSERT_CUDA(cuMemAlloc(&large, 2 * mebibyte));
  EXPECT_EQ(stat("regions"), regions + 1);
  EXPECT_CUDA(cuMemFree(small));
  EXPECT_CUDA(cuMemFree(large));
  EXPECT_EQ(stat("native_bytes"), 0u);
  EXPECT_EQ(stat("regions"), regions);
}

TEST_F(GpuTest, PassesOnAPointerThatIsNotOurs) {
  EXPECT_CUDA(cuMemFree(0));
  EXPECT_EQ(cuMemFree(0x1234), CUDA_ERROR_INVALID_VALUE);
  CUdeviceptr one = 0;
  ASSERT_CUDA(cuMemAlloc(&one, 4 * mebibyte));
  EXPECT_EQ(cuMemFree(one + 256), CUDA_ERROR_INVALID_VALUE);
  EXPECT_CUDA(cuMemFree(one));
  EXPECT_EQ(cuMemFree(one), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GpuTest, ShowsARegionAsOneRange) {
  CUdeviceptr one = 0, base = 0;
  std::size_t size = 0;
  ASSERT_CUDA(cuMemAlloc(&one, 7 * mebibyte));
  ASSERT_CUDA(cuMemGetAddressRange(&base, &size, one + 5 * mebibyte));
  EXPECT_EQ(base, one);
  EXPECT_EQ(size, 7 * mebibyte);
  ASSERT_CUDA(cuMemGetAddressRange(nullptr, &size, one));
  ASSERT_CUDA(cuMemGetAddressRange(&base, nullptr, one));
  EXPECT_CUDA(cuMemFree(one));
  EXPECT_NE(cuMemGetAddressRange(&base, &size, one), CUDA_SUCCESS);
}

TEST_F(GpuTest, ShowsAHostMappedRegionAsDeviceMemory) {
  // Larger than HBM: part of it is host-mapped, wherever one looks from.
  const std::size_t size = 2 * hbm_limit;
  CUdeviceptr one = 0;
  ASSERT_CUDA(cuMemAlloc(&one, size));
  EXPECT_GT(stat("host_mapped_bytes"), 0u);
  for (CUdeviceptr at = one; at < one + size; at += 2 * mebibyte) {
    unsigned type = 0, managed = 1;
    int ordinal = -1;
    CUcontext context = nullptr;
    CUdeviceptr begin = 0;
    std::size_t range = 0;
    ASSERT_CUDA(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_DEVICE});
    ASSERT_CUDA(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at));
    EXPECT_EQ(ordinal, device_);
    CUpointer_attribute attributes[] = {
        CU_POINTER_ATTRIBUTE_CONTEXT,    CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
        CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
        CU_POINTER_ATTRIBUTE_RANGE_SIZE,
    };
    void* out[] = {&context, &type, &managed, &begin, &range};
    ASSERT_CUDA(cuPointerGetAttributes(5, attributes, out, at));
    EXPECT_EQ(context, context_);
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_DEVICE});
    EXPECT_EQ(managed, 0u);
    EXPECT_EQ(begin, one);
    EXPECT_EQ(range, size);
  }
  void* host = this;
  EXPECT_EQ(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, one),
            CUDA_ERROR_INVALID_VALUE);
  CUpointer_attribute only_host[] = {CU_POINTER_ATTRIBUTE_HOST_POINTER};
  void* out[] = {&host};
  ASSERT_CUDA(cuPointerGetAttributes(1, only_host, out, one));
  EXPECT_EQ(host, nullptr);
  EXPECT_CUDA(cuMemFree(one));
}

TEST_F(GpuTest, AllocatesRowsThatCopiesUnderstand) {
  CUdeviceptr rows = 0;
  std::size_t pitch = 0;
  ASSERT_CUDA(cuMemAllocPitch(&rows, &pitch, 3000, 2000, 4));
  EXPECT_EQ(pitch % 512, 0u);
  EXPECT_GE(pitch, 3000u);
  std::vector<unsigned char> source(3000 * 2000), back(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<unsigned char>(i * 7);
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = source.data();
  copy.srcPitch = 3000;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = rows;
  copy.dstPitch = pitch;
  copy.WidthInBytes = 3000;
  copy.Height = 2000;
  ASSERT_CUDA(cuMemcpy2D(&copy));
  CUDA_MEMCPY2D read{};
  read.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  read.srcDevice = rows;
  read.srcPitch = pitch;
  read.dstMemoryType = CU_MEMORYTYPE_HOST;
  read.dstHost = back.data();
  read.dstPitch = 3000;
  read.WidthInBytes = 3000;
  read.Height = 2000;
  ASSERT_CUDA(cuMemcpy2D(&read));
  EXPECT_EQ(source, back);
  EXPECT_CUDA(cuMemFree(rows));
}

TEST_F(GpuTest, TheMappingsBehindARegionAreNobodysToTouch) {
  const std::size_t size = 8 * mebibyte;
  CUdeviceptr region = 0, native = 0;
  ASSERT_CUDA(cuMemAlloc(&region, size));
  ASSERT_CUDA(cuMemAlloc(&native, mebibyte));
  fill(region, size, 11);
  CUmemGenericAllocationHandle handle = 0;
  unsigned long long access = 0;
  const CUmemLocation location{CU_MEM_LOCATION_TYPE_DEVICE, device_};
  const CUmemAccessDesc none{location, CU_MEM_ACCESS_FLAGS_PROT_NONE};
  for (const CUdeviceptr memory : {region, native}) {
    SCOPED_TRACE(memory == native ? "native" : "region");
    EXPECT_EQ(cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(memory)),
              CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemSetAccess(memory, 2 * mebibyte, &none, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemUnmap(memory, 2 * mebibyte), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemAddressFree(memory, 2 * mebibyte), CUDA_ERROR_INVALID_VALUE);
  }
  EXPECT_EQ(cuMemGetAccess(&access, &location, region), CUDA_ERROR_INVALID_VALUE);
  // A range that only reaches into the window is refused as well.
  EXPECT_EQ(cuMemUnmap(region - 4 * mebibyte, 1ull << 45), CUDA_ERROR_INVALID_VALUE);
  EXPECT_TRUE(holds(region, size, 11));
  EXPECT_CUDA(cuMemFree(region));
  EXPECT_CUDA(cuMemFree(native));
}

TEST_F(GpuTest, WhatOnlyTheDriverAllocatesIsCounted) {
  const std::uint64_t before = stat("passed_through");
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 0};
  CUmemGenericAllocationHandle handle = 0;
  ASSERT_CUDA(cuMemCreate(&handle, 2 * mebibyte, &properties, 0));
  EXPECT_EQ(stat("passed_through"), before + 1);
  // A refusal gives out nothing.
  CUmemGenericAllocationHandle other = 0;
  EXPECT_NE(cuMemCreate(&other, 12345, &properties, 0), CUDA_SUCCESS);
  EXPECT_EQ(stat("passed_through"), before + 1);
  EXPECT_CUDA(cuMemRelease(handle));
}

}  // namespace
