// Memory in the order of a stream: nobody waits for a free, and nobody has the memory before it.
#include <cstring>
#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

std::atomic<bool> refuse_events{false};

CUresult CUDAAPI record_unless_refused(CUevent event, CUstream stream) {
  if (refuse_events) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  return real_driver().cuEventRecord(event, stream);
}

class StreamOrdered : public PagerTest {
 protected:
  StreamOrdered() {
    refuse_events = false;
    driver_.cuEventRecord = &record_unless_refused;
    EXPECT_CUDA(cuStreamCreate(&other_, CU_STREAM_NON_BLOCKING));
  }
  ~StreamOrdered() override { EXPECT_CUDA(cuStreamDestroy(other_)); }

  [[nodiscard]] StreamOrder on(CUstream stream) const {
    unsigned long long id = 0;
    EXPECT_CUDA(cuStreamGetId(stream, &id));
    return {context_, stream, id};
  }
  DeviceAddress take(Bytes size, CUstream stream) {
    const auto made = runtime_->allocate_in_order(device_, size, on(stream), nullptr);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? *made : DeviceAddress{};
  }
  void give(DeviceAddress region, CUstream stream) {
    const Status freed = runtime_->free_in_order(region, on(stream));
    EXPECT_TRUE(freed.ok()) << freed.message();
  }

  CUstream other_ = nullptr;
};

TEST_F(StreamOrdered, AFreeWaitsForNothingAndItsOwnStreamHasTheMemoryAtOnce) {
  start(64, 64);
  const DeviceAddress region = take(mib(6), stream_);
  {
    Blockade blockade(stream_);
    give(region, stream_);
    EXPECT_FALSE(runtime_->find(region).has_value());
    EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(6));
    EXPECT_EQ(stat_bytes(Stat::resident_bytes), mib(0));
    // No other stream, no other size: these get memory of their own.
    const DeviceAddress elsewhere = take(mib(6), other_), larger = take(mib(8), stream_);
    EXPECT_NE(elsewhere, region);
    EXPECT_NE(larger, region);
    // A region is as large as its chunks.
    EXPECT_EQ(take(mib(5) + kib(4), stream_), region);
    EXPECT_EQ(runtime_->find(region)->size, mib(5) + kib(4));
    EXPECT_EQ(stat(Stat::reused_regions), 1u);
    EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(0));
    EXPECT_EQ(stat_bytes(Stat::resident_bytes), mib(6 + 6 + 8));
  }
}

TEST_F(StreamOrdered, AnotherStreamHasItOnceTheFreeWasReached) {
  start(64, 64);
  const DeviceAddress region = take(mib(6), stream_);
  Blockade blockade(stream_);
  give(region, stream_);
  EXPECT_NE(take(mib(6), other_), region);
  blockade.release();
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  EXPECT_EQ(take(mib(6), other_), region);
}

TEST_F(StreamOrdered, WorkBeforeTheFreeHasTheBytesWhateverIsAllocatedMeanwhile) {
  start(16, 16);
  const Bytes size = mib(14);
  const DeviceAddress region = take(size, stream_);
  fill(region, size, 7);
  std::vector<unsigned char> before(size.value);
  {
    const auto pass = runtime_->gate().pass();
    ASSERT_CUDA(cuMemcpyDtoH(before.data(), region.value, size.value));
  }
  void* after = nullptr;  // page-locked, or the copy would wait for the stream
  ASSERT_CUDA(cuMemAllocHost(&after, size.value));
  {
    Blockade blockade(stream_);
    {
      const auto pass = runtime_->gate().pass();
      ASSERT_CUDA(cuMemcpyDtoHAsync(after, region.value, size.value, stream_));
    }
    give(region, stream_);
    // There is room for this one besides, and then no more, while the free is not reached.
    EXPECT_NE(take(mib(16), other_).value, 0u);
    EXPECT_EQ(runtime_->allocate_in_order(device_, mib(8), on(other_), nullptr).status().code(),
              Errc::out_of_memory);
  }
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  EXPECT_EQ(std::memcmp(after, before.data(), size.value), 0);
  EXPECT_CUDA(cuMemFreeHost(after));
  // Now there is: the freed region is given up for it.
  EXPECT_NE(take(mib(8), other_).value, 0u);
  EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(0));
}

TEST_F(StreamOrdered, AnAllocationWaitsForAFreeThatIsSoonReached) {
  start(16, 16);
  const DeviceAddress region = take(mib(30), stream_);
  Blockade blockade(stream_);
  give(region, stream_);
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    blockade.release();
  });
  EXPECT_TRUE(runtime_->allocate(mib(20)).ok());
  later.join();
}

TEST_F(StreamOrdered, FreedMemoryInHbmComesBeforeTheHosts) {
  start(32, 64);
  const DeviceAddress region = take(mib(24), stream_);
  give(region, stream_);
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  (void)allocate(mib(20));
  EXPECT_EQ(stat_bytes(Stat::host_mapped_bytes), mib(0));
  EXPECT_EQ(stat_bytes(Stat::resident_bytes), mib(20));
}

TEST_F(StreamOrdered, WhatNobodyTakesIsGivenUpAfterAWhile) {
  start(32, 64);
  give(take(mib(8), stream_), stream_);
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(8));
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::idle_bytes) == mib(0); }, 5s));
  EXPECT_EQ(stat(Stat::regions), 0u);
}

TEST_F(StreamOrdered, TrimmingKeepsWhatItIsTold) {
  start(64, 64);
  const DeviceAddress live = take(mib(8), stream_), old = take(mib(6), stream_);
  const DeviceAddress young = take(mib(4), stream_);
  give(old, stream_);
  give(young, stream_);
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  runtime_->trim_idle(device_, mib(18));
  EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(10));
  runtime_->trim_idle(device_, mib(12));
  EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(4));
  runtime_->trim_idle(device_, mib(0));
  EXPECT_EQ(stat_bytes(Stat::idle_bytes), mib(0));
  EXPECT_TRUE(runtime_->find(live).has_value());
}

TEST_F(StreamOrdered, EitherFreeTakesEitherKind) {
  start(64, 64);
  const DeviceAddress ordered = take(mib(8), stream_), plain = allocate(mib(8));
  fill(plain, mib(8), 3);
  EXPECT_TRUE(runtime_->free(ordered).ok());
  give(plain, stream_);
  EXPECT_EQ(runtime_->free(ordered).code(), Errc::invalid_value);
  EXPECT_EQ(runtime_->free_in_order(plain, on(stream_)).code(), Errc::invalid_value);
  EXPECT_EQ(runtime_->free_in_order(ordered + mib(2), on(stream_)).code(), Errc::invalid_value);
  const DeviceAddress again = take(mib(8), stream_);
  EXPECT_EQ(again, plain);
  EXPECT_EQ(runtime_->find(again)->kind, RegionKind::stream_ordered);
}

TEST_F(StreamOrdered, AStreamThatTakesNoEventFreesNothing) {
  start(64, 64);
  const DeviceAddress region = take(mib(8), stream_);
  fill(region, mib(8), 9);
  refuse_events = true;
  EXPECT_EQ(runtime_->free_in_order(region, on(stream_)).driver_result(),
            CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  refuse_events = false;
  EXPECT_TRUE(runtime_->find(region).has_value());
  EXPECT_TRUE(holds(region, mib(8), 9));
  give(region, stream_);
}

// cuda.h, cuCtxDestroy: "will not destroy memory allocations by … cuMemAllocAsync()".
TEST_F(StreamOrdered, MemoryOutlivesTheContextOfItsStream) {
  start(64, 64);
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  ASSERT_CUDA(cuCtxCreate(&context, nullptr, 0, device_));
  ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  runtime_->stream_created(context, stream);
  StreamOrder order = on(stream);
  order.context = context;
  const auto live = runtime_->allocate_in_order(device_, mib(8), order, nullptr);
  const auto freed = runtime_->allocate_in_order(device_, mib(6), order, nullptr);
  ASSERT_TRUE(live.ok() && freed.ok());
  {
    Blockade blockade(stream);
    EXPECT_TRUE(runtime_->free_in_order(*freed, order).ok());
  }
  runtime_->context_destroyed(context);
  ASSERT_CUDA(cuCtxDestroy(context));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  EXPECT_TRUE(runtime_->find(*live).has_value());
  // The context's events went with it, and its work ended before.
  EXPECT_EQ(take(mib(6), stream_), *freed);
  EXPECT_TRUE(runtime_->free(*live).ok());
}

// Chunks leave HBM, are copied ahead, and come back, while regions are freed and taken again.
TEST_F(StreamOrdered, RegionsThatComeAndGoAreRightWhilePagesMove) {
  start(16, 64);
  const DeviceAddress kept = allocate(mib(12));
  fill(kept, mib(12), 1);
  const auto begin = std::chrono::steady_clock::now();
  const auto goes_on = [&] {
    const auto passed = std::chrono::steady_clock::now() - begin;
    return passed < 500ms || (stat(Stat::reused_regions) == 0 && passed < 20s);
  };
  for (unsigned round = 0; goes_on() && !HasFailure(); ++round) {
    // Two in a row that fit: the pager gives up in between what it needs the room of.
    CUstream stream = round / 2 % 3 == 0 ? other_ : stream_;
    const DeviceAddress region = take(mib(4 + 2 * (round / 2 % 2)), stream);
    runtime_->named(round % 5 < 3 ? region : kept);
    fill(region, mib(4), round);
    EXPECT_CUDA(cuStreamSynchronize(stream));
    EXPECT_TRUE(holds(region, mib(4), round)) << "round " << round;
    give(region, stream);
  }
  EXPECT_TRUE(holds(kept, mib(12), 1));
  EXPECT_GT(stat(Stat::reused_regions), 0u);
  EXPECT_EQ(stat(Stat::frozen), 0u);
}

}  // namespace
}  // namespace vhbm
