// A region in pieces becomes one allocation: its bytes and its address stay, whatever fails on the
// way.
#include <thread>

#include "runtime/device.h"
#include "runtime/gathering.h"
#include "runtime/region_table.h"
#include "two_regions.h"

namespace vhbm {
namespace {

class GatheringRegions : public TwoRegions {
 protected:
  // What cuMemRetainAllocationHandle and an export need: one allocation behind all of the region.
  static Bytes mapping_at(DeviceAddress address) {
    std::size_t size = 0;
    CUdeviceptr base = 0;
    EXPECT_CUDA(cuMemGetAddressRange(&base, &size, address.value));
    return {size};
  }
  // All that the limits allow can be had, so nothing was lost on the way.
  void expect_nothing_lost(Bytes left) {
    const DeviceAddress all = allocate(left);
    ASSERT_NE(all.value, 0u);
    fill(all, left, 9);
    EXPECT_TRUE(holds(all, left, 9));
    EXPECT_TRUE(runtime_->free(all).ok());
  }
};

TEST_F(GatheringRegions, KeepsAddressAndBytesOfARegionThatLiesInBothMemories) {
  make_pressure(options(16, 64));
  ASSERT_TRUE(bring(second_));
  ASSERT_GT(stat(Stat::host_mapped_bytes), 0u);
  const Status status = runtime_->gather(first_ + mib(5));
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(mapping_at(first_ + mib(5)), mib(12));
  EXPECT_TRUE(holds(first_, mib(12), 1));
  EXPECT_TRUE(holds(second_, mib(12), 2));
  EXPECT_EQ(stat_bytes(Stat::gathered_bytes), mib(12));
  EXPECT_LE(stat_bytes(Stat::hbm_bytes), mib(16));
  EXPECT_EQ(stat_bytes(Stat::resident_bytes) + stat_bytes(Stat::host_mapped_bytes), mib(24));
}

TEST_F(GatheringRegions, StaysInHbmForGoodAndTheOthersArePagedBesideIt) {
  make_pressure(options(16, 64));
  ASSERT_TRUE(runtime_->gather(first_).ok());
  const DeviceAddress third = allocate(mib(8));
  fill(third, mib(8), 3);
  const Bytes before = stat_bytes(Stat::promoted_bytes);
  EXPECT_TRUE(eventually([&, use = 0]() mutable {
    runtime_->named(use++ / 50 % 2 == 0 ? second_ : third);
    return stat_bytes(Stat::promoted_bytes) >= before + mib(8);
  }));
  EXPECT_EQ(mapping_at(first_), mib(12));
  EXPECT_LE(stat_bytes(Stat::hbm_bytes), mib(16));
  EXPECT_TRUE(holds(first_, mib(12), 1));
  EXPECT_TRUE(holds(second_, mib(12), 2));
  EXPECT_TRUE(holds(third, mib(8), 3));
}

TEST_F(GatheringRegions, IsShownAsHeld) {
  make_pressure(options(16, 64));
  ASSERT_TRUE(runtime_->gather(first_).ok());
  EXPECT_TRUE(eventually([&] {
    for (const auto& process : read_live_regions(state_dir_)) {
      for (const RegionRow& row : process.rows) {
        if (row.base == first_.value) return row.held == 1 && row.resident == mib(12).value;
      }
    }
    return false;
  }));
}

TEST_F(GatheringRegions, IsTheApplicationsMemoryOnceInWhatItIsTold) {
  start(24, 8);
  const DeviceAddress region = allocate(mib(10));
  fill(region, mib(10), 1);
  const Bytes before = runtime_->memory_info(device_).free;
  ASSERT_TRUE(runtime_->gather(region).ok());
  EXPECT_EQ(runtime_->memory_info(device_).free, before);
  ASSERT_TRUE(runtime_->gather(region).ok()) << "twice is harmless";
  EXPECT_EQ(stat_bytes(Stat::native_bytes), mib(10));
  ASSERT_TRUE(runtime_->free(region).ok());
  EXPECT_EQ(runtime_->memory_info(device_).free, before + mib(10));
  EXPECT_EQ(stat_bytes(Stat::native_bytes), Bytes{0});
  EXPECT_EQ(stat_bytes(Stat::gathered_bytes), Bytes{0});
  EXPECT_EQ(stat_bytes(Stat::resident_bytes), Bytes{0});
  expect_nothing_lost(mib(32));
}

TEST_F(GatheringRegions, IsFreedInEveryState) {
  make_pressure(options(16, 24));
  ASSERT_TRUE(runtime_->gather(second_).ok());
  runtime_->capture_began();
  EXPECT_TRUE(runtime_->free(second_).ok());  // taken apart later
  EXPECT_EQ(runtime_->gather(first_).code(), Errc::abandoned) << "while a stream is captured";
  runtime_->capture_ended();
  EXPECT_TRUE(eventually([&] { return stat(Stat::gathered_bytes) == 0; }));
  EXPECT_TRUE(holds(first_, mib(12), 1));
  EXPECT_TRUE(runtime_->free(first_).ok());
  expect_nothing_lost(mib(40));
}

TEST_F(GatheringRegions, WaitsForWorkInFlight) {
  start(32, 64);
  const DeviceAddress region = allocate(mib(8));
  fill(region, mib(8), 1);
  Blockade blockade(stream_);
  ASSERT_CUDA(cuMemsetD8Async(region.value, 0x5a, mib(8).value, stream_));
  std::thread gatherer([&] { EXPECT_TRUE(runtime_->gather(region).ok()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(stat(Stat::gathered_bytes), 0u);
  blockade.release();
  gatherer.join();
  EXPECT_EQ(stat_bytes(Stat::gathered_bytes), mib(8));
  std::vector<unsigned char> bytes(mib(8).value);
  ASSERT_CUDA(cuMemcpyDtoH(bytes.data(), region.value, bytes.size()));
  EXPECT_EQ(bytes, std::vector<unsigned char>(bytes.size(), 0x5a));
}

TEST_F(GatheringRegions, IsRefusedWhereThereIsNoRoomAndChangesNothing) {
  make_pressure(options(16, 64));
  const DeviceAddress large = allocate(mib(24));
  fill(large, mib(24), 3);
  EXPECT_EQ(runtime_->gather(large).code(), Errc::out_of_memory) << "larger than hbm_limit";
  ASSERT_TRUE(runtime_->gather(first_).ok());
  EXPECT_EQ(runtime_->gather(second_).code(), Errc::out_of_memory) << "beside what is held";
  EXPECT_EQ(runtime_->gather(DeviceAddress{64}).code(), Errc::invalid_value);
  EXPECT_TRUE(holds(large, mib(24), 3));
  EXPECT_TRUE(holds(second_, mib(12), 2));
  EXPECT_EQ(stat_bytes(Stat::native_bytes), mib(12));
}

CUresult CUDAAPI without_descriptors(int* out, CUdevice_attribute attribute, CUdevice device) {
  if (attribute != CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED) {
    return real_driver().cuDeviceGetAttribute(out, attribute, device);
  }
  *out = 0;
  return CUDA_SUCCESS;
}

TEST_F(GatheringRegions, IsUnsupportedWhereTheDeviceExportsNothing) {
  driver_.cuDeviceGetAttribute = &without_descriptors;
  start(16, 64);
  const DeviceAddress region = allocate(mib(8));
  fill(region, mib(8), 1);
  EXPECT_EQ(runtime_->gather(region).code(), Errc::unsupported);
  EXPECT_EQ(stat(Stat::gathered_bytes), 0u);
  CUmemAllocationProp unshared{};
  unshared.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  unshared.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  EXPECT_TRUE(runtime_->gather(region, unshared).ok());
  EXPECT_TRUE(holds(region, mib(8), 1));
}

unsigned context_flags = 0;
CUresult CUDAAPI get_flags(unsigned* flags) {
  *flags = context_flags;
  return CUDA_SUCCESS;
}
CUresult CUDAAPI set_flags(unsigned flags) {
  context_flags = flags;
  return CUDA_SUCCESS;
}

TEST_F(GatheringRegions, AsksTheContextToSynchronizeItsCopies) {
  driver_.cuCtxGetFlags = &get_flags;
  driver_.cuCtxSetFlags = &set_flags;
  context_flags = CU_CTX_SCHED_YIELD;
  start(32, 64);
  const DeviceAddress region = allocate(mib(8));
  EXPECT_TRUE(runtime_->set_synchronous(region, false).ok());
  EXPECT_EQ(stat(Stat::gathered_bytes), 0u);
  EXPECT_TRUE(runtime_->set_synchronous(region + mib(3), true).ok());
  EXPECT_EQ(context_flags, CU_CTX_SCHED_YIELD | CU_CTX_SYNC_MEMOPS);
  EXPECT_EQ(stat_bytes(Stat::gathered_bytes), mib(8));
  EXPECT_TRUE(runtime_->find(region)->synchronous);
  EXPECT_EQ(runtime_->set_synchronous(DeviceAddress{64}, true).code(), Errc::invalid_value);
}

CUdeviceptr refused_at = 0;
CUresult CUDAAPI map_no_whole_there(CUdeviceptr address, std::size_t size, std::size_t offset,
                                    CUmemGenericAllocationHandle handle, unsigned long long flags) {
  if (address == refused_at && size > mib(2).value) return CUDA_ERROR_UNKNOWN;
  return real_driver().cuMemMap(address, size, offset, handle, flags);
}

TEST_F(GatheringRegions, GoesBackToTheFramesWhereTheDriverNeverMapsTheAllocation) {
  driver_.cuMemMap = &map_no_whole_there;
  start(32, 64);
  const DeviceAddress region = allocate(mib(8));
  fill(region, mib(8), 1);
  refused_at = region.value;
  EXPECT_FALSE(runtime_->gather(region).ok());
  EXPECT_TRUE(holds(region, mib(8), 1));
  EXPECT_EQ(stat(Stat::frozen), 0u);
  EXPECT_EQ(stat(Stat::native_bytes), 0u);
  refused_at = 0;
  EXPECT_TRUE(runtime_->gather(region).ok());
  EXPECT_TRUE(holds(region, mib(8), 1));
}

struct FaultyCall {
  const char* name;
  Fault Faults::*fault;
};

class FaultyGathering : public GatheringRegions,
                        public ::testing::WithParamInterface<FaultyCall> {};

TEST_P(FaultyGathering, KeepsEveryByteAndLosesNoFrame) {
  // Without a planner the only calls are those of gathering.
  Options made = options(10, 16);
  made.state_dir = state_dir_;
  auto started = Runtime::start(driver_, made);
  ASSERT_TRUE(started.ok()) << started.status().message();
  runtime_ = std::move(*started);
  Fault& fault = faults().*GetParam().fault;
  long refused = 0, calls = 1;
  for (long nth = 0; nth < calls; ++nth) {
    const DeviceAddress other = allocate(mib(6)), region = allocate(mib(4));
    fill(region, mib(4), 3);
    EXPECT_GT(stat(Stat::host_mapped_bytes), 0u);
    EXPECT_TRUE(runtime_->free(other).ok());
    fault.arm(nth, 1, CUDA_ERROR_INVALID_VALUE);
    const bool gathered = runtime_->gather(region).ok();
    // How often it is polled for copies depends on the time they take.
    calls = std::clamp<long>(fault.seen, calls, 12);
    fault.disarm();
    if (!gathered) ++refused;
    EXPECT_TRUE(holds(region, mib(4), 3)) << "call " << nth;
    fill(region, mib(4), 4);
    EXPECT_TRUE(runtime_->gather(region).ok()) << "call " << nth;
    EXPECT_EQ(mapping_at(region), mib(4));
    EXPECT_TRUE(holds(region, mib(4), 4));
    EXPECT_TRUE(runtime_->free(region).ok());
  }
  EXPECT_GE(refused, 1);
  EXPECT_EQ(stat(Stat::frozen), 0u);
  EXPECT_TRUE(eventually([&] { return stat(Stat::native_bytes) == 0; }));
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(10));
  EXPECT_TRUE(eventually([&] { return stat(Stat::refused_bytes) == 0; }));
  expect_nothing_lost(mib(26));
}

INSTANTIATE_TEST_SUITE_P(Each, FaultyGathering,
                         ::testing::Values(FaultyCall{"cuMemCreate", &Faults::create},
                                           FaultyCall{"cuMemMap", &Faults::map},
                                           FaultyCall{"cuMemSetAccess", &Faults::access},
                                           FaultyCall{"cuMemUnmap", &Faults::unmap},
                                           FaultyCall{"cuStreamQuery", &Faults::stream_query},
                                           FaultyCall{"cuMemcpyAsync", &Faults::copy}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(GatheringRegions, GathersFramesThatAreMappedNowhere) {
  Options with_state = options(16, 64);
  with_state.state_dir = state_dir_;
  Process process(driver_);
  auto device = Device::start(driver_, with_state, process);
  ASSERT_TRUE(device.ok()) << device.status().message();
  Device& pool = **device;
  Gathering gathering(pool, process.gate);
  std::vector<Frame*> frames;
  {
    std::lock_guard lock(pool.lock);
    for (const Tier tier : {Tier::hbm, Tier::host, Tier::hbm}) {
      frames.push_back(*pool.frames->take(tier));
      ASSERT_TRUE(pool.frames->ensure_alias(frames.back()).ok());
      ASSERT_CUDA(cuMemsetD8(frames.back()->alias.value, static_cast<unsigned char>(frames.size()),
                             mib(2).value));
    }
  }
  ASSERT_CUDA(cuCtxSynchronize());
  const auto handle = gathering.gather(frames, Gathering::shareable(pool));
  ASSERT_TRUE(handle.ok()) << handle.status().message();
  EXPECT_EQ(pool.frames->native(), mib(6));
  CUdeviceptr address = 0;
  ASSERT_CUDA(cuMemAddressReserve(&address, mib(6).value, 0, 0, 0));
  ASSERT_TRUE(pool.mapper->map({address}, {&*handle, 1}, mib(6)).ok());
  for (unsigned char i = 0; i < 3; ++i) {
    std::vector<unsigned char> bytes(mib(2).value);
    ASSERT_CUDA(cuMemcpyDtoH(bytes.data(), address + i * bytes.size(), bytes.size()));
    EXPECT_EQ(bytes, std::vector<unsigned char>(bytes.size(), i + 1));
  }
  ASSERT_TRUE(pool.mapper->unmap({address}, mib(6)).ok());
  ASSERT_CUDA(cuMemAddressFree(address, mib(6).value));
  gathering.release(*handle, mib(6));
  EXPECT_EQ(pool.frames->native(), Bytes{0});
  std::lock_guard lock(pool.lock);
  for (Frame* frame : frames) pool.frames->give_back(frame);
}

}  // namespace
}  // namespace vhbm
