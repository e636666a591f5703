// The application's own reservations, allocations and mappings, on the pager.
#include "runtime/virtual_memory.h"

#include <cstring>
#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

class OwnMemory : public PagerTest {
 protected:
  using Handle = VirtualMemory::Handle;

  void begin(std::uint64_t hbm, std::uint64_t host) {
    start(hbm, host);
    memory_ = runtime_->virtual_memory_on(device_);
    ASSERT_NE(memory_, nullptr);
  }
  CUmemAllocationProp on_device() const {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
    return properties;
  }
  DeviceAddress reserve(Bytes size) {
    const auto address = memory_->reserve(size, {}, {});
    EXPECT_TRUE(address.ok());
    return *address;
  }
  Handle create(Bytes size) {
    const auto handle = memory_->create(size, on_device());
    EXPECT_TRUE(handle.ok()) << handle.status().message();
    return handle.ok() ? *handle : 0;
  }
  void map(DeviceAddress address, Bytes size, Handle handle) {
    const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, device_},
                                 CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    const Status mapped = memory_->map({address, size}, {}, handle, 0);
    EXPECT_TRUE(mapped.ok()) << mapped.message();
    EXPECT_TRUE(memory_->set_access({address, size}, {&access, 1}).ok());
  }
  // Nothing is left of what the application had.
  void expect_nothing_left() {
    for (const Stat which : {Stat::regions, Stat::region_bytes, Stat::resident_bytes,
                             Stat::host_mapped_bytes, Stat::fixed_bytes, Stat::native_bytes}) {
      EXPECT_EQ(stat(which), 0u) << stat_rows[static_cast<std::size_t>(which)].name;
    }
    const MemoryInfo info = runtime_->memory_info(device_);
    EXPECT_EQ(info.live, Bytes{0});
  }

  VirtualMemory* memory_ = nullptr;
};

TEST_F(OwnMemory, KeepsItsBytesFromMappingToMappingWhereverTheyLie) {
  begin(16, 64);
  constexpr Bytes size = mib(12);
  const DeviceAddress here = reserve(size * 2), there = reserve(size * 2);
  const Handle first = create(size), second = create(size);
  map(here, size, first);
  map(here + size, size, second);
  EXPECT_GT(stat(Stat::host_mapped_bytes), 0u) << "24 MiB do not lie in 16";
  fill(here, size, 1);
  fill(here + size, size, 2);
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  ASSERT_TRUE(use_until(here + size, [&] { return stat(Stat::promoted_bytes) >= mib(6).value; }));
  ASSERT_TRUE(memory_->unmap({here, size * 2}).ok());
  EXPECT_EQ(stat(Stat::regions), 0u);
  map(there, size, second);
  map(there + size, size, first);
  EXPECT_TRUE(holds(there, size, 2));
  EXPECT_TRUE(holds(there + size, size, 1));
  EXPECT_TRUE(memory_->release(first).ok());
  EXPECT_TRUE(memory_->release(second).ok());
  EXPECT_TRUE(holds(there + size, size, 1)) << "the mapping keeps it";
  ASSERT_TRUE(memory_->unmap({there, size * 2}).ok());
  EXPECT_TRUE(memory_->free({here, size * 2}).ok());
  EXPECT_TRUE(memory_->free({there, size * 2}).ok());
  expect_nothing_left();
}

TEST_F(OwnMemory, IsUnmappedAtOnceWhileWorkIsInFlightAndStreamsAreCaptured) {
  begin(16, 64);
  const DeviceAddress address = reserve(mib(4));
  map(address, mib(4), create(mib(4)));
  const Blockade blockade(stream_);
  runtime_->capture_began();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(memory_->unmap({address, mib(4)}).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(1));
  // The driver has taken the mapping away, and it is not kept for later either.
  EXPECT_EQ(stat(Stat::regions), 0u);
  map(address, mib(4), create(mib(4)));
  EXPECT_TRUE(memory_->unmap({address, mib(4)}).ok());
  runtime_->capture_ended();
}

TEST_F(OwnMemory, MovesOnWhileItIsMappedAndUnmappedAgainAndAgain) {
  begin(8, 64);
  constexpr Bytes size = mib(4);
  constexpr std::size_t count = 6;
  std::vector<Handle> handles;
  const DeviceAddress begin = reserve(size * count);
  for (std::size_t i = 0; i < count; ++i) {
    handles.push_back(create(size));
    map(begin + size * i, size, handles[i]);
    fill(begin + size * i, size, static_cast<std::uint32_t>(i));
  }
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  const auto moved = [&] { return stat_bytes(Stat::promoted_bytes) >= mib(16); };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (std::uint32_t round = 0; round < 300 || !moved(); ++round) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing moves";
    const std::size_t i = round % count, j = (round / 7 + i + 1) % count;
    if (i == j) continue;
    // Two change places, whatever the pager is doing with them.
    runtime_->named(begin + size * ((round / 50) % count));
    ASSERT_TRUE(memory_->unmap({begin + size * i, size}).ok());
    ASSERT_TRUE(memory_->unmap({begin + size * j, size}).ok());
    std::swap(handles[i], handles[j]);
    map(begin + size * i, size, handles[i]);
    map(begin + size * j, size, handles[j]);
    // Time enough for a round of the pager's, now and then.
    if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (std::uint32_t seed = 0; seed < count; ++seed) {
    bool found = false;
    for (std::size_t i = 0; i < count && !found; ++i) found = holds(begin + size * i, size, seed);
    EXPECT_TRUE(found) << "the bytes of " << seed << " are nowhere";
  }
  EXPECT_EQ(stat(Stat::frozen), 0u);
  EXPECT_EQ(stat(Stat::driver_errors), 0u);
}

TEST_F(OwnMemory, CountsAsLiveFromItsCreationToItsEnd) {
  begin(16, 64);
  const Handle handle = create(mib(6));
  EXPECT_EQ(runtime_->memory_info(device_).live, mib(6));
  const DeviceAddress address = reserve(mib(6)), alias = reserve(mib(6));
  map(address, mib(6), handle);
  EXPECT_EQ(runtime_->memory_info(device_).live, mib(6));
  map(alias, mib(6), handle);
  EXPECT_EQ(runtime_->memory_info(device_).live, mib(6)) << "fixed, and still one allocation";
  EXPECT_EQ(stat_bytes(Stat::fixed_bytes), mib(6));
  fill(address, mib(6), 5);
  EXPECT_TRUE(holds(alias, mib(6), 5));
  EXPECT_TRUE(memory_->release(handle).ok());
  EXPECT_TRUE(memory_->unmap({address, mib(6)}).ok());
  EXPECT_TRUE(holds(alias, mib(6), 5));
  EXPECT_TRUE(memory_->unmap({alias, mib(6)}).ok());
  expect_nothing_left();
}

TEST_F(OwnMemory, OutlivesTheContextThatItWasMadeIn) {
  begin(16, 64);
  CUcontext other = nullptr;
  ASSERT_CUDA(cuCtxCreate(&other, nullptr, 0, device_));
  runtime_->context_created(other);
  const DeviceAddress address = reserve(mib(4));
  map(address, mib(4), create(mib(4)));
  ASSERT_CUDA(cuMemsetD8(address.value, 7, mib(4).value));
  runtime_->context_destroyed(other);
  ASSERT_CUDA(cuCtxDestroy(other));
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  unsigned char last = 0;
  EXPECT_CUDA(cuMemcpyDtoH(&last, address.value + mib(4).value - 1, 1));
  EXPECT_EQ(last, 7);
  EXPECT_TRUE(memory_->unmap({address, mib(4)}).ok());
}

TEST_F(OwnMemory, KeepsTheAccessThatWasSetThroughEveryMove) {
  begin(8, 64);
  const DeviceAddress filler = reserve(mib(6)), address = reserve(mib(4));
  const Handle filling = create(mib(6));
  map(filler, mib(6), filling);
  map(address, mib(4), create(mib(4)));
  fill(address, mib(4), 6);
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  ASSERT_EQ(stat_bytes(Stat::host_mapped_bytes), mib(4));
  const CUmemAccessDesc read_only{{CU_MEM_LOCATION_TYPE_DEVICE, device_},
                                  CU_MEM_ACCESS_FLAGS_PROT_READ};
  ASSERT_TRUE(memory_->set_access({address, mib(4)}, {&read_only, 1}).ok());
  ASSERT_TRUE(memory_->unmap({filler, mib(6)}).ok());
  ASSERT_TRUE(memory_->release(filling).ok());
  ASSERT_TRUE(use_until(address, [&] { return stat(Stat::host_mapped_bytes) == 0; }));
  unsigned long long flags = 0;
  EXPECT_TRUE(memory_->access(address, &read_only.location, &flags).ok());
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_READ));
  EXPECT_EQ(runtime_->find(address)->memory->access, CU_MEM_ACCESS_FLAGS_PROT_READ);
  EXPECT_TRUE(holds(address, mib(4), 6));
  EXPECT_TRUE(memory_->unmap({address, mib(4)}).ok());
}

TEST_F(OwnMemory, IsNotWhatCuMemFreeFrees) {
  begin(16, 64);
  const DeviceAddress address = reserve(mib(4));
  map(address, mib(4), create(mib(4)));
  EXPECT_EQ(runtime_->free(address).code(), Errc::invalid_value);
  fill(address, mib(4), 3);
  EXPECT_TRUE(holds(address, mib(4), 3));
  EXPECT_TRUE(memory_->unmap({address, mib(4)}).ok());
}

TEST_F(OwnMemory, StaysAsItIsWhenTheDriverRefusesACall) {
  begin(16, 64);
  const DeviceAddress address = reserve(mib(4));
  const Handle handle = create(mib(4));
  faults().map.arm(1, 1, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(memory_->map({address, mib(4)}, {}, handle, 0).code(), Errc::out_of_memory);
  faults().map.disarm();
  map(address, mib(4), handle);
  fill(address, mib(4), 4);
  faults().unmap.arm(0, 1, CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(memory_->unmap({address, mib(4)}).driver_result(), CUDA_ERROR_UNKNOWN);
  faults().unmap.disarm();
  EXPECT_TRUE(holds(address, mib(4), 4));
  EXPECT_TRUE(memory_->unmap({address, mib(4)}).ok());
  EXPECT_TRUE(memory_->release(handle).ok());
  EXPECT_EQ(memory_->release(handle).code(), Errc::invalid_value);
  expect_nothing_left();
}

TEST_F(OwnMemory, ReservesAtTheHintWhereItIsFree) {
  begin(16, 64);
  const DeviceAddress first = reserve(mib(8));
  EXPECT_TRUE(memory_->free({first, mib(8)}).ok());
  const DeviceAddress hint = first + mib(4);
  EXPECT_EQ(*memory_->reserve(mib(4), {}, hint), hint);
  const DeviceAddress elsewhere = *memory_->reserve(mib(4), {}, hint);
  EXPECT_NE(elsewhere, hint);
  EXPECT_EQ(memory_->free({hint, mib(2)}).code(), Errc::invalid_value);
  EXPECT_TRUE(memory_->free({hint, mib(4)}).ok());
  EXPECT_TRUE(memory_->free({elsewhere, mib(4)}).ok());
  EXPECT_EQ(memory_->free({hint, mib(4)}).code(), Errc::invalid_value);
}

}  // namespace
}  // namespace vhbm
