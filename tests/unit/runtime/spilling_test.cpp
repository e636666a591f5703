// A process asleep whose bytes go below host memory: they come back, or the driver says that not.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "runtime/share_socket.h"
#include "runtime/spill/tier_settings.h"
#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

// What a store in memory was given, and how it is to fail.
struct Shelf {
  std::mutex mutex;
  std::map<BlockKey, std::vector<std::byte>> blocks;
  Errc write_fails = Errc::ok;
  Errc read_fails = Errc::ok;
  int reads_to_fail = 0;
  std::vector<std::byte> lost_bytes;  // a block that begins so cannot be read

  [[nodiscard]] std::size_t count() {
    std::lock_guard lock(mutex);
    return blocks.size();
  }
};

class ShelfStore : public BlockStore {
 public:
  explicit ShelfStore(std::shared_ptr<Shelf> shelf) : shelf_(std::move(shelf)) {}
  [[nodiscard]] Status write(std::span<const BlockSource> blocks) override {
    std::lock_guard lock(shelf_->mutex);
    if (shelf_->write_fails != Errc::ok) return {shelf_->write_fails, "the shelf is full"};
    for (const BlockSource& block : blocks)
      shelf_->blocks[block.key].assign(block.bytes.begin(), block.bytes.end());
    return {};
  }
  [[nodiscard]] Status read(std::span<const BlockTarget> blocks) override {
    std::lock_guard lock(shelf_->mutex);
    if (shelf_->reads_to_fail > 0) {
      --shelf_->reads_to_fail;
      return {shelf_->read_fails, "the shelf is out of reach"};
    }
    for (const BlockTarget& block : blocks) {
      const auto& kept = shelf_->blocks.at(block.key);
      const auto& lost = shelf_->lost_bytes;
      if (!lost.empty() && std::equal(lost.begin(), lost.end(), kept.begin()))
        return {Errc::bytes_lost, "it fell off the shelf"};
      std::memcpy(block.bytes.data(), kept.data(), kept.size());
    }
    return {};
  }
  void drop(std::span<const BlockKey> keys) noexcept override {
    std::lock_guard lock(shelf_->mutex);
    for (const BlockKey key : keys) shelf_->blocks.erase(key);
  }
  [[nodiscard]] Usage usage() const override { return {}; }

 private:
  const std::shared_ptr<Shelf> shelf_;
};

class SpillingBelow : public PagerTest {
 protected:
  static Options soon(std::uint64_t hbm, std::uint64_t host) {
    Options made = options(hbm, host);
    made.spill_after = 1ms;
    return made;
  }
  void start_with_shelf(const Options& options) {
    start(options, std::make_unique<ShelfStore>(shelf_));
  }
  void set(const std::string& option, const std::string& value) {
    const auto socket =
        ShareSocket::connect(state_dir_, std::to_string(getpid()) + control_suffix, 10s);
    ASSERT_TRUE(socket.ok());
    const std::string order =
        R"({"command":"set","option":")" + option + R"(","value":")" + value + "\"}\n";
    ASSERT_TRUE(socket->send(order.data(), order.size()));
    std::string answer;
    for (char byte = 0; byte != '\n' && socket->receive(&byte, 1);) answer += byte;
    ASSERT_NE(answer.find(R"("ok":true)"), std::string::npos) << answer;
  }
  void sleep() {
    const Status slept = Sleep::wait(runtime_->sleep().fall_asleep(), 20s);
    ASSERT_TRUE(slept.ok()) << slept.message();
  }
  void sleep_until_below(Bytes size) {
    sleep();
    ASSERT_TRUE(eventually([&] { return stat_bytes(Stat::spilled_bytes) == size; }))
        << stat(Stat::spilled_bytes);
  }

  const std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
};

TEST_F(SpillingBelow, GoesToDiskAndComesBackWithTheFirstCopy) {
  Options made = soon(64, 128);
  made.disk_path = std::filesystem::current_path();
  made.compression = {Codec::lz4, 0};
  auto below = open_block_store(made, [](const char*) { return nullptr; });
  ASSERT_TRUE(below.ok()) << below.status().message();
  const BlockStore& store = **below;
  start(made, std::move(*below));
  const DeviceAddress region = allocate(mib(12)), idle = allocate(mib(2));
  fill(region, mib(12), 1);
  fill(idle, mib(2), 2);
  for (int time = 0; time < 2; ++time) {
    sleep_until_below(mib(14));
    EXPECT_EQ(store.usage().plain, mib(14));
    EXPECT_LE(stat_bytes(Stat::host_bytes), mib(2)) << "all but what stands in";
    EXPECT_TRUE(holds(region, mib(12), 1));
    EXPECT_TRUE(holds(idle, mib(2), 2));
    EXPECT_EQ(stat(Stat::spilled_bytes), 0u);
    EXPECT_EQ(store.usage().plain, Bytes{0});
  }
}

TEST_F(SpillingBelow, ChunksLargerThanWhatIsOnItsWayAtOnceGoInParts) {
  Options made = soon(128, 256);
  made.chunk_size = Size::of(mib(64));
  start_with_shelf(made);
  const DeviceAddress region = allocate(mib(64));
  fill(region, mib(64), 5);
  sleep_until_below(mib(64));
  EXPECT_EQ(shelf_->count(), 2u);
  EXPECT_TRUE(holds(region, mib(64), 5));
  EXPECT_EQ(shelf_->count(), 0u);
}

TEST_F(SpillingBelow, WhatIsFreedMeanwhileIsForgotten) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress kept = allocate(mib(10)), freed = allocate(mib(10));
  fill(kept, mib(10), 1);
  fill(freed, mib(10), 2);
  sleep_until_below(mib(20));
  EXPECT_TRUE(runtime_->free(freed).ok());
  const DeviceAddress fresh = allocate(mib(10));
  fill(fresh, mib(10), 3);
  EXPECT_TRUE(holds(kept, mib(10), 1));
  EXPECT_TRUE(holds(fresh, mib(10), 3));
  EXPECT_EQ(shelf_->count(), 0u);
}

TEST_F(SpillingBelow, StaysInHostMemoryWhereNoTierHasTheRoom) {
  shelf_->write_fails = Errc::tier_full;
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  sleep();
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(stat(Stat::spilled_bytes), 0u);
  EXPECT_EQ(stat(Stat::asleep), 1u);
  EXPECT_TRUE(holds(region, mib(20), 1));
}

TEST_F(SpillingBelow, WaitsForATierThatIsOutOfReach) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  sleep_until_below(mib(20));
  shelf_->read_fails = Errc::tier_unreachable;
  shelf_->reads_to_fail = 5;
  EXPECT_TRUE(holds(region, mib(20), 1));
  EXPECT_EQ(shelf_->reads_to_fail, 0);
  EXPECT_EQ(stat(Stat::lost_bytes), 0u);
}

TEST_F(SpillingBelow, ComesBackToHbmWhereTheHostHasNoRoom) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  sleep_until_below(mib(20));
  // The application came to page-lock all that there may be.
  runtime_->host_locked(mib(128));
  EXPECT_TRUE(holds(region, mib(20), 1));
  EXPECT_EQ(stat_bytes(Stat::resident_bytes), mib(20));
  runtime_->host_unlocked(mib(128));
}

TEST_F(SpillingBelow, WaitsForFramesThatTheDriverDoesNotMakeYet) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  sleep_until_below(mib(20));
  faults().create.arm(0, 5, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_TRUE(holds(region, mib(20), 1));
  EXPECT_EQ(faults().create.failed, 5);
  EXPECT_EQ(stat(Stat::lost_bytes), 0u);
}

TEST_F(SpillingBelow, ComesBackWhateverTheLimitsAreByThen) {
  start_with_shelf(soon(16, 64));
  const DeviceAddress region = allocate(mib(40));
  fill(region, mib(40), 1);
  sleep_until_below(mib(40));
  set("hbm_limit", "4MiB");
  set("host_limit", "4MiB");
  EXPECT_TRUE(holds(region, mib(40), 1));
  EXPECT_EQ(stat(Stat::lost_bytes), 0u);
}

TEST_F(SpillingBelow, ItsPlaceInHostMemoryIsNotTakenMeanwhile) {
  start_with_shelf(soon(16, 32));
  const DeviceAddress region = allocate(mib(32));
  fill(region, mib(32), 1);
  sleep_until_below(mib(32));
  EXPECT_FALSE(runtime_->allocate(mib(20)).ok()) << "more than HBM has";
  const DeviceAddress fresh = allocate(mib(14));
  EXPECT_EQ(stat_bytes(Stat::spilled_bytes), mib(32)) << "allocating leaves it asleep";
  fill(fresh, mib(14), 2);
  EXPECT_TRUE(holds(region, mib(32), 1));
  EXPECT_TRUE(holds(fresh, mib(14), 2));
  EXPECT_LE(stat_bytes(Stat::host_bytes), mib(32));
}

TEST_F(SpillingBelow, WhatIsFreedMeanwhileLeavesItsPlaceToOthers) {
  start_with_shelf(soon(16, 32));
  const DeviceAddress freed = allocate(mib(32));
  fill(freed, mib(32), 1);
  sleep_until_below(mib(32));
  EXPECT_TRUE(runtime_->free(freed).ok());
  EXPECT_TRUE(runtime_->allocate(mib(46)).ok());
}

TEST_F(SpillingBelow, TheLastChunkComesBackToWhatStoodInForIt) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  sleep_until_below(mib(20));
  // As many frames as the driver had before, and not one more.
  faults().create.arm(9, 1 << 20, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_TRUE(holds(region, mib(20), 1));
  faults().create.disarm();
  EXPECT_EQ(stat(Stat::lost_bytes), 0u);
}

TEST_F(SpillingBelow, StaysMappedWhereTheDriverDoesNotSwitch) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(20));
  fill(region, mib(20), 1);
  for (Fault* fault : {&faults().map, &faults().unmap, &faults().copy}) {
    sleep();
    fault->arm(2, 1, CUDA_ERROR_UNKNOWN);
    EXPECT_TRUE(eventually([&] { return fault->seen > 2; }));
    EXPECT_TRUE(holds(region, mib(20), 1));
    fault->disarm();
    EXPECT_EQ(stat(Stat::frozen), 0u);
  }
}

TEST_F(SpillingBelow, LosesOnlyWhatATierLostAndTheDriverSaysSo) {
  start_with_shelf(soon(64, 128));
  const DeviceAddress region = allocate(mib(4)), lost = allocate(mib(2));
  fill(region, mib(4), 1);
  fill(lost, mib(2), 2);
  std::vector<std::byte> beginning(64);
  EXPECT_CUDA(cuMemcpyDtoH(beginning.data(), lost.value, beginning.size()));
  sleep_until_below(mib(6));
  shelf_->lost_bytes = beginning;
  EXPECT_TRUE(holds(region, mib(4), 1)) << "work goes on with what is there";
  EXPECT_EQ(stat_bytes(Stat::lost_bytes), mib(2));
  EXPECT_NE(cuMemcpyDtoH(beginning.data(), lost.value, beginning.size()), CUDA_SUCCESS);
  EXPECT_EQ(shelf_->count(), 0u);
}

}  // namespace
}  // namespace vhbm
