// Stream-ordered allocation: memory from pools, had and given back in the order of a stream.
#include "on_device.h"

using namespace conformance;

namespace {

class MemoryPool : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    int supported = 0;
    OK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, device_));
    if (supported == 0) GTEST_SKIP() << "this device has no memory pools";
    stream_ = make_stream();
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
    OK(cuMemPoolCreate(&pool_, &properties));
  }
  void TearDown() override {
    cuCtxSynchronize();
    if (pool_ != nullptr) cuMemPoolDestroy(pool_);
    OnDevice::TearDown();
  }
  CUdeviceptr take(std::size_t bytes, CUstream stream) {
    CUdeviceptr address = 0;
    EXPECT_EQ(cuMemAllocFromPoolAsync(&address, bytes, pool_, stream), CUDA_SUCCESS);
    return address;
  }
  cuuint64_t get(CUmemPool_attribute attribute) const {
    cuuint64_t value = 0;
    EXPECT_EQ(cuMemPoolGetAttribute(pool_, attribute, &value), CUDA_SUCCESS);
    return value;
  }
  void set(CUmemPool_attribute attribute, cuuint64_t value) {
    EXPECT_EQ(cuMemPoolSetAttribute(pool_, attribute, &value), CUDA_SUCCESS);
  }

  static constexpr std::size_t kSize = 32 * kMiB;
  CUmemoryPool pool_ = nullptr;
  CUstream stream_ = nullptr;
};

TEST_F(MemoryPool, MemoryIsUsableByLaterWorkOfTheStream) {
  // cuda.h, cuMemAllocAsync: "Basic stream ordering allows future work submitted into the same
  // stream to use the allocation."
  CUdeviceptr address = 0;
  OK(cuMemAllocAsync(&address, 4096, stream_));
  OK(launch(kernel("fill"), 1024, stream_, address, 4u, 1024u));
  OK(launch(kernel("add_one"), 1024, stream_, address, 1024u));
  EXPECT_EQ(read(address, 1024), Words(1024, 5u));
  OK(cuMemFreeAsync(address, stream_));
  OK(cuStreamSynchronize(stream_));
}

TEST_F(MemoryPool, AnEventMakesItUsableElsewhere) {
  // cuda.h: "Stream query, stream synchronize, and CUDA events can be used to guarantee that the
  // allocation operation completes before work submitted in a separate stream runs."
  CUstream other = make_stream();
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  Blocker blocker(kernel("wait_for_flag"), stream_);
  OK(blocker.launched());
  const CUdeviceptr address = take(kSize, stream_);
  OK(cuEventRecord(event, stream_));
  OK(cuStreamWaitEvent(other, event, 0));
  OK(launch(kernel("fill"), 1024, other, address, 6u, 1024u));
  blocker.release();
  EXPECT_EQ(read(address, 1024), Words(1024, 6u));
  OK(cuMemFreeAsync(address, stream_));
  OK(cuEventDestroy(event));
}

TEST_F(MemoryPool, ALoopOfAllocationsReusesItsMemory) {
  // cuda.h, cuMemFreeAsync: "The allocation must not be accessed after stream execution reaches the
  // free": so the stream's next allocation may have the memory, though no free was reached yet.
  const int times = 20;
  {
    Blocker blocker(kernel("wait_for_flag"), stream_);
    OK(blocker.launched());
    for (int i = 0; i < times; ++i) {
      const CUdeviceptr address = take(kSize, stream_);
      OK(launch(kernel("fill"), 1024, stream_, address, 1u, 1024u));
      OK(cuMemFreeAsync(address, stream_));
    }
    EXPECT_LT(get(CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), times * kSize);
  }
  OK(cuStreamSynchronize(stream_));
}

TEST_F(MemoryPool, WithoutAThresholdSynchronizingGivesTheMemoryBack) {
  // cuda.h, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: "When more than the release threshold bytes of
  // memory are held by the memory pool, the allocator will try to release memory back to the OS on
  // the next call to stream, event or context synchronize. (default 0)"
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD), 0u);
  const CUdeviceptr address = take(kSize, stream_);
  EXPECT_GE(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), kSize);
  OK(cuMemFreeAsync(address, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0u);
}

TEST_F(MemoryPool, BelowTheThresholdItIsKept) {
  set(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, UINT64_MAX);
  const CUdeviceptr address = take(kSize, stream_);
  OK(cuMemFreeAsync(address, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_GE(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), kSize);
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0u);
  // cuda.h, cuMemPoolTrimTo: "Releases memory back to the OS until the pool contains fewer than
  // minBytesToKeep reserved bytes"
  OK(cuMemPoolTrimTo(pool_, 0));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0u);
}

TEST_F(MemoryPool, TrimmingLeavesWhatIsInUse) {
  // cuda.h, cuMemPoolTrimTo: "The allocator cannot release OS allocations that back outstanding
  // asynchronous allocations."
  const CUdeviceptr address = take(kSize, stream_);
  OK(launch(kernel("fill"), 1024, stream_, address, 3u, 1024u));
  OK(cuMemPoolTrimTo(pool_, 0));
  EXPECT_GE(get(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), kSize);
  EXPECT_EQ(read(address, 1024), Words(1024, 3u));
  OK(cuMemFreeAsync(address, stream_));
}

TEST_F(MemoryPool, CountsWhatIsUsedAndTheMostThatWas) {
  const CUdeviceptr one = take(kSize, stream_), two = take(kSize, stream_);
  EXPECT_GE(get(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 2 * kSize);
  OK(cuMemFreeAsync(one, stream_));
  OK(cuMemFreeAsync(two, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0u);
  EXPECT_GE(get(CU_MEMPOOL_ATTR_USED_MEM_HIGH), 2 * kSize);
  // "High watermark can only be reset to zero."
  cuuint64_t value = 1;
  EXPECT_EQ(cuMemPoolSetAttribute(pool_, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &value),
            CUDA_ERROR_INVALID_VALUE);
  set(CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0);
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_HIGH), 0u);
}

TEST_F(MemoryPool, ReuseIsEnabledByDefault) {
  for (const CUmemPool_attribute attribute :
       {CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC,
        CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES}) {
    int value = 0;
    OK(cuMemPoolGetAttribute(pool_, attribute, &value));
    EXPECT_EQ(value, 1);  // "(default enabled)"
  }
}

TEST_F(MemoryPool, PointersTellTheirPool) {
  // cuda.h, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE: "Returns the mempool handle for the allocation if
  // it was allocated from a mempool. Otherwise returns NULL."
  const CUdeviceptr address = take(4096, stream_), plain = allocate(4096);
  CUmemoryPool pool = nullptr;
  OK(cuPointerGetAttribute(&pool, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, address));
  EXPECT_EQ(pool, pool_);
  OK(cuPointerGetAttribute(&pool, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, plain));
  EXPECT_EQ(pool, nullptr);
  CUmemorytype type{};
  OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address));
  EXPECT_EQ(type, CU_MEMORYTYPE_DEVICE);
  int ordinal = -1;
  OK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address));
  EXPECT_EQ(ordinal, device_);
  OK(cuMemFreeAsync(address, stream_));
}

TEST_F(MemoryPool, TheDefaultOneIsCurrentUntilAnotherIsSet) {
  // cuda.h, cuDeviceSetMemPool: "By default, a device's current memory pool is its default memory
  // pool." cuMemPoolDestroy: "Destroying the current mempool of a device sets the default mempool
  // of that device as the current mempool", "A device's default memory pool cannot be destroyed."
  CUmemoryPool default_pool = nullptr, current = nullptr, of_pointer = nullptr;
  OK(cuDeviceGetDefaultMemPool(&default_pool, device_));
  OK(cuDeviceGetMemPool(&current, device_));
  EXPECT_EQ(current, default_pool);
  EXPECT_NE(cuMemPoolDestroy(default_pool), CUDA_SUCCESS);
  OK(cuDeviceSetMemPool(device_, pool_));
  CUdeviceptr address = 0;
  OK(cuMemAllocAsync(&address, 4096, stream_));
  OK(cuPointerGetAttribute(&of_pointer, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, address));
  EXPECT_EQ(of_pointer, pool_);
  OK(cuMemFreeAsync(address, stream_));
  OK(cuMemPoolDestroy(pool_));
  pool_ = nullptr;
  OK(cuDeviceGetMemPool(&current, device_));
  EXPECT_EQ(current, default_pool);
}

TEST_F(MemoryPool, DestroyingOneLeavesItsAllocations) {
  // cuda.h, cuMemPoolDestroy: "the function will return immediately and the resources associated
  // with the pool will be released automatically once there are no more outstanding allocations."
  const CUdeviceptr address = take(4096, stream_);
  OK(cuMemPoolDestroy(pool_));
  pool_ = nullptr;
  OK(launch(kernel("fill"), 1024, stream_, address, 8u, 1024u));
  EXPECT_EQ(read(address, 1024), Words(1024, 8u));
  OK(cuMemFreeAsync(address, stream_));
}

TEST_F(MemoryPool, MemFreeTakesItToo) {
  // cuda.h, cuMemFree: "must have been returned by a previous call to one of the following memory
  // allocation APIs - … cuMemAllocAsync(), cuMemAllocFromPoolAsync()"
  const CUdeviceptr address = take(4096, stream_);
  OK(cuStreamSynchronize(stream_));
  OK(cuMemFree(address));
  EXPECT_EQ(get(CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0u);
}

TEST_F(MemoryPool, ZeroBytesAndUnknownPointersAreInvalid) {
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAllocAsync(&address, 0, stream_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemFreeAsync(0x1000, stream_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(MemoryPool, MoreThanTheDeviceHasIsOutOfMemory) {
  std::size_t total = 0;
  OK(cuDeviceTotalMem(&total, device_));
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAllocAsync(&address, total + kSize, stream_), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(MemoryPool, OnlyItsDeviceHasAccessAtFirst) {
  CUmemLocation here{};
  here.type = CU_MEM_LOCATION_TYPE_DEVICE;
  here.id = device_;
  CUmemAccess_flags flags{};
  OK(cuMemPoolGetAccess(&flags, pool_, &here));
  EXPECT_EQ(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
}

}  // namespace
