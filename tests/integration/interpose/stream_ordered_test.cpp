// cuMemAllocAsync and its kin, as frameworks use them: a pool of the device's that never runs dry.
#include <array>
#include <thread>

#include "gpu_test.h"

namespace {

constexpr std::size_t size = 4 * mebibyte;

class StreamOrdered : public GpuTest {
 protected:
  StreamOrdered() { EXPECT_CUDA(cuDeviceGetDefaultMemPool(&default_pool_, device_)); }
  ~StreamOrdered() override {
    EXPECT_CUDA(cuStreamSynchronize(stream_));
    EXPECT_CUDA(cuMemPoolTrimTo(default_pool_, 0));
    EXPECT_EQ(stat("idle_bytes"), 0u);
    EXPECT_EQ(stat("regions"), 0u);
  }
  CUdeviceptr take(std::size_t bytes, CUstream stream) {
    CUdeviceptr address = 0;
    EXPECT_CUDA(cuMemAllocAsync(&address, bytes, stream));
    return address;
  }

  CUmemoryPool default_pool_ = nullptr;
};

TEST_F(StreamOrdered, AStepThatAllocatesAndFreesHasTheSameMemoryAgainAndAgain) {
  constexpr std::uint32_t steps = 1000;
  const std::uint64_t reused = stat("reused_regions");
  for (std::uint32_t step = 0; step < steps; ++step) {
    const CUdeviceptr one = take(size, stream_), two = take(size, stream_);
    fill(one, 4096, step);
    fill(two, 4096, step + 1);
    if (step % 100 == 99) {
      EXPECT_TRUE(holds(one, 4096, step));
      EXPECT_TRUE(holds(two, 4096, step + 1));
    }
    EXPECT_CUDA(cuMemFreeAsync(one, stream_));
    EXPECT_CUDA(cuMemFreeAsync(two, stream_));
  }
  EXPECT_GE(stat("reused_regions") - reused, 2 * (steps - 10));
}

TEST_F(StreamOrdered, TakesWhatBothLimitsHold) {
  std::vector<CUdeviceptr> pieces(3 * hbm_limit / size);
  for (CUdeviceptr& piece : pieces) piece = take(size, stream_);
  for (std::uint32_t round = 0; round < 5; ++round) {
    for (std::uint32_t i = 0; i < pieces.size(); ++i) {
      if (round == 0) fill(pieces[i], size, i);
      add(pieces[i], size, 1);
    }
  }
  for (std::uint32_t i = 0; i < pieces.size(); ++i) EXPECT_TRUE(holds(pieces[i], size, i, 5));
  // Freed in the order of the stream, each is there for an allocation that has no other room.
  for (const CUdeviceptr piece : pieces) EXPECT_CUDA(cuMemFreeAsync(piece, stream_));
  CUdeviceptr large = 0;
  ASSERT_CUDA(cuMemAlloc(&large, hbm_limit + host_limit / 2));
  EXPECT_CUDA(cuMemFree(large));
}

TEST_F(StreamOrdered, EveryStreamThatACallCanNameWorks) {
  for (const CUstream stream :
       {stream_, CUstream{nullptr}, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD}) {
    const CUdeviceptr address = take(size, stream);
    EXPECT_EQ(stat("regions"), 1u);
    EXPECT_CUDA(cuMemsetD8Async(address, 1, size, stream));
    EXPECT_CUDA(cuMemFreeAsync(address, stream));
    EXPECT_EQ(stat("regions"), 0u);
    EXPECT_CUDA(cuStreamSynchronize(stream));
  }
}

TEST_F(StreamOrdered, WhatIsSmallOrOfThePrivatePoolStaysTheDrivers) {
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device_;
  CUmemoryPool own = nullptr;
  CUdeviceptr address = 0;
  ASSERT_CUDA(cuMemPoolCreate(&own, &properties));
  const auto expect_native = [&] {
    EXPECT_EQ(stat("regions"), 0u);
    EXPECT_CUDA(cuMemFreeAsync(address, stream_));
  };
  ASSERT_CUDA(cuMemAllocFromPoolAsync(&address, size, own, stream_));
  expect_native();
  ASSERT_CUDA(cuMemAllocAsync(&address, mebibyte, stream_));
  expect_native();
  // The current pool is another than the default one.
  ASSERT_CUDA(cuDeviceSetMemPool(device_, own));
  ASSERT_CUDA(cuMemAllocAsync(&address, size, stream_));
  expect_native();
  ASSERT_CUDA(cuMemPoolDestroy(own));
  EXPECT_EQ(cuMemAllocAsync(&address, 0, stream_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemAllocAsync(nullptr, size, stream_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemFreeAsync(0x1234, stream_), CUDA_ERROR_INVALID_VALUE);
}

// cuda.h, cuMemFreeAsync: "CUDA_ERROR_INVALID_CONTEXT (default stream specified with no current
// context)"; of another stream the driver decides.
TEST_F(StreamOrdered, TheDefaultPoolTellsOfItsRegions) {
  const auto get = [&](CUmemPool_attribute attribute) {
    cuuint64_t value = 0;
    EXPECT_CUDA(cuMemPoolGetAttribute(default_pool_, attribute, &value));
    return value;
  };
  cuuint64_t zero = 0;
  ASSERT_CUDA(cuMemPoolSetAttribute(default_pool_, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &zero));
  ASSERT_CUDA(cuMemPoolSetAttribute(default_pool_, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &zero));
  const CUdeviceptr one = take(size, stream_), two = take(size, stream_);
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 2 * size);
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 2 * size);
  EXPECT_CUDA(cuMemFreeAsync(one, stream_));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), size);
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_HIGH), 2 * size);
  EXPECT_CUDA(cuMemFreeAsync(two, stream_));
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  EXPECT_CUDA(cuMemPoolTrimTo(default_pool_, 0));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0u);
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), 2 * size);
  ASSERT_CUDA(cuMemPoolSetAttribute(default_pool_, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &zero));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), 0u);
}

TEST_F(StreamOrdered, WhatAPoolHoldsCountsAgainstTheLimit) {
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device_;
  CUmemoryPool own = nullptr;
  CUdeviceptr address = 0;
  std::size_t free_before = 0, free_after = 0, total = 0;
  ASSERT_CUDA(cuMemPoolCreate(&own, &properties));
  cuuint64_t everything = UINT64_MAX;
  ASSERT_CUDA(cuMemPoolSetAttribute(own, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &everything));
  ASSERT_CUDA(cuMemGetInfo(&free_before, &total));
  ASSERT_CUDA(cuMemAllocFromPoolAsync(&address, 8 * mebibyte, own, stream_));
  ASSERT_CUDA(cuMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_before - free_after, 8 * mebibyte);
  EXPECT_EQ(stat("native_bytes"), 8 * mebibyte);
  // Regions make room for it.
  CUdeviceptr region = 0;
  ASSERT_CUDA(cuMemAlloc(&region, hbm_limit));
  EXPECT_GE(stat("host_mapped_bytes"), 8 * mebibyte);
  // The pager gives back what it had pooled before.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (stat("hbm_bytes") > hbm_limit && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_LE(stat("hbm_bytes"), hbm_limit);
  EXPECT_CUDA(cuMemFree(region));
  // What was freed is still the pool's, until it is told otherwise.
  EXPECT_CUDA(cuMemFreeAsync(address, stream_));
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  ASSERT_CUDA(cuMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_before - free_after, 8 * mebibyte);
  EXPECT_CUDA(cuMemPoolTrimTo(own, 0));
  ASSERT_CUDA(cuMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_after, free_before);
  EXPECT_CUDA(cuMemPoolDestroy(own));
}

TEST_F(StreamOrdered, WithoutAContextARegionIsAnsweredForAsNativeMemory) {
  const std::array<CUdeviceptr, 2> memory = {take(size, stream_), take(mebibyte, stream_)};
  std::array<CUresult, 2> results{};
  EXPECT_CUDA(cuCtxSetCurrent(nullptr));
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemFreeAsync(memory[0], nullptr), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuMemAllocAsync(&address, size, nullptr), CUDA_ERROR_INVALID_CONTEXT);
  for (int i = 0; i < 2; ++i) results[i] = cuMemFreeAsync(memory[i], stream_);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_CUDA(cuCtxSetCurrent(context_));
  for (int i = 0; i < 2; ++i) {
    if (results[i] != CUDA_SUCCESS) {
      EXPECT_CUDA(cuMemFreeAsync(memory[i], stream_));
    }
  }
}

// cuda.h, cuMemFreeAsync: "During stream capture, this function results in the creation of a free
// node and must therefore be passed the address of a graph allocation."
TEST_F(StreamOrdered, ACaptureNeitherMakesNorFreesARegion) {
  const CUdeviceptr region = take(size, stream_);
  fill(region, size, 4);
  CUdeviceptr address = 0;
  CUgraph graph = nullptr;
  const std::uint64_t regions = stat("regions");
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  (void)cuMemAllocAsync(&address, size, stream_);  // a node of the graph, where a driver has them
  EXPECT_EQ(stat("regions"), regions);
  EXPECT_EQ(cuMemFreeAsync(region, stream_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(stat("regions"), regions);
  // Of another stream, memory comes and goes as ever; so it does of the legacy one, which does not
  // wait for a non-blocking stream.
  CUstream other = nullptr;
  EXPECT_CUDA(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  for (const CUstream stream : {other, CUstream{nullptr}, CU_STREAM_LEGACY}) {
    const CUdeviceptr meanwhile = take(size, stream);
    EXPECT_EQ(stat("regions"), regions + 1);
    EXPECT_CUDA(cuMemFreeAsync(meanwhile, stream));
  }
  EXPECT_CUDA(cuStreamEndCapture(stream_, &graph));
  EXPECT_CUDA(cuGraphDestroy(graph));
  EXPECT_CUDA(cuStreamDestroy(other));
  EXPECT_TRUE(holds(region, size, 4));
  EXPECT_CUDA(cuMemFreeAsync(region, stream_));
}

// cuda.h, cuStreamIsCapturing: the legacy stream is unusable meanwhile.
TEST_F(StreamOrdered, TheLegacyStreamIsAnsweredNativelyWhileABlockingOneIsCaptured) {
  const CUdeviceptr region = take(size, nullptr);
  CUstream blocking = nullptr;
  EXPECT_CUDA(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
  ASSERT_CUDA(cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT_NE(cuMemFreeAsync(region, nullptr), CUDA_SUCCESS);
  CUgraph graph = nullptr;
  if (cuStreamEndCapture(blocking, &graph) == CUDA_SUCCESS) EXPECT_CUDA(cuGraphDestroy(graph));
  EXPECT_CUDA(cuStreamDestroy(blocking));
  EXPECT_CUDA(cuMemFreeAsync(region, nullptr));
  EXPECT_CUDA(cuStreamSynchronize(nullptr));
}

// Regions have no peers, so a pool that another device may use has no regions.
TEST_F(StreamOrdered, AfterAPeerWasLetInThePoolIsTheDrivers) {
  CUmemAccessDesc access{};
  access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access.location.id = 1;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  ASSERT_CUDA(cuMemPoolSetAccess(default_pool_, &access, 1));
  const CUdeviceptr address = take(size, stream_);
  EXPECT_EQ(stat("regions"), 0u);
  EXPECT_CUDA(cuMemFreeAsync(address, stream_));
}

}  // namespace
