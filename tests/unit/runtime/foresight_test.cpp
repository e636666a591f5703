// What the pager learns of the program's steps, and what a policy makes of it.
#include "runtime/flip.h"
#include "runtime/recording/trace_reader.h"
#include "runtime/units.h"
#include "test_gpu.h"

#include <thread>

namespace vhbm {
namespace {

class Foresight : public PagerTest {
 protected:
  // So many steps that use these in turn, with time in between for the pager.
  void run_steps(int steps, const std::vector<DeviceAddress>& regions) {
    for (int i = 0; i < steps; ++i) {
      for (const DeviceAddress region : regions) {
        const auto pass = runtime_->gate().pass();
        runtime_->named(region);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  std::vector<DeviceAddress> allocate_filled(int count, Bytes each) {
    std::vector<DeviceAddress> made;
    for (int i = 0; i < count; ++i) {
      made.push_back(allocate(each));
      fill(made.back(), each, static_cast<std::uint32_t>(i) + 1);
    }
    return made;
  }
};

TEST_F(Foresight, LearnsTheStepsOfTheProgram) {
  start(16, 64);
  const auto regions = allocate_filled(5, mib(2));
  ASSERT_TRUE(eventually([&] { return stat(Stat::uses_seen) == 5; }));
  run_steps(20, regions);
  ASSERT_TRUE(eventually([&] { return stat(Stat::uses_seen) == 5 + 20 * 5; }));
  // The first step is like nothing before it, but for the order in which they were filled.
  EXPECT_GE(stat(Stat::uses_foreseen), 19u * 5);
}

TEST_F(Foresight, CountsWhatALaunchNamesTwiceInARowOnce) {
  start(16, 64);
  const DeviceAddress region = allocate(mib(4));
  const std::uint64_t words[] = {region.value, (region + mib(2)).value, region.value};
  runtime_->named(words);
  ASSERT_TRUE(eventually([&] { return stat(Stat::uses_seen) == 1; }));
}

// The same part of each region, and nothing moves any more.
TEST_F(Foresight, KeepsAPartOfACycleThatIsLargerThanHbm) {
  Options made = options(34, 128);
  made.policy = "next_use";
  made.stall_limit = Percent{90};
  start(made);
  const auto regions = allocate_filled(6, mib(8));
  std::uint64_t before = 1;
  ASSERT_TRUE(eventually([&] {
    run_steps(200, regions);
    return std::exchange(before, stat(Stat::promoted_bytes)) == stat(Stat::promoted_bytes);
  }));
  EXPECT_GT(stat(Stat::promoted_bytes), 0u);
  for (std::uint32_t i = 0; i < regions.size(); ++i) {
    EXPECT_TRUE(holds(regions[i], mib(8), i + 1)) << i;
  }
}

// The gate is open while this thread looks: what it sees come at once came between two looks.
TEST_F(Foresight, BringsThePhaseThatComesBehindOneClosingOfTheGate) {
  Options made = options(34, 128);
  made.policy = "next_use";
  made.flip_size = Size::of(mib(2));
  made.stall_limit = Percent{50};
  made.record = state_dir_ + "/phases.vhbm";
  start(made);
  const auto regions = allocate_filled(6, mib(8));  // three a phase
  Bytes before, most;
  const auto step = [&](std::size_t phase) {
    for (std::size_t i = 0; i < 3; ++i) {
      const auto pass = runtime_->gate().pass();
      const Bytes promoted = stat_bytes(Stat::promoted_bytes);
      most = std::max(most, promoted - std::exchange(before, promoted));
      runtime_->named(regions[phase * 3 + i]);
    }
    runtime_->wait_begins();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    runtime_->wait_ends();
    runtime_->quiet_point();
  };
  EXPECT_TRUE(eventually([&] {
    for (const std::size_t phase : {0, 1}) {
      for (int i = 0; i < 100; ++i) step(phase);
    }
    return most >= mib(12);
  })) << most.value;
  for (std::uint32_t i = 0; i < regions.size(); ++i) {
    EXPECT_TRUE(holds(regions[i], mib(8), i + 1)) << i;
  }
  finish();
  // Each of the flips has its part of the time that the gate was closed.
  auto reader = recording::TraceReader::open(made.record);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::uint64_t end = 0, flips = 0;
  const Status read = reader->read([&](recording::Record& one) {
    const auto* flip = std::get_if<recording::flip>(&one.content);
    if (flip == nullptr || flip->outcome != static_cast<std::uint64_t>(Flip::Outcome::done)) {
      return std::string();
    }
    const std::uint64_t closed = flip->begin + flip->prepare_ns;
    EXPECT_GE(closed, end);
    EXPECT_GT(flip->stall_ns, 0u);
    end = closed + flip->stall_ns;
    ++flips;
    return std::string();
  });
  EXPECT_TRUE(read.ok()) << read.message();
  EXPECT_GE(flips, 6u);
}

// What is used all the time stays, whatever else is used now and then.
TEST_F(Foresight, BringsWhatIsUsedMoreOftenThanWhatIsThere) {
  Options made = options(16, 64);
  made.policy = "next_use";
  start(made);
  const auto regions = allocate_filled(4, mib(6));  // of which two fit
  const std::vector<DeviceAddress> step = {regions[0], regions[3], regions[1],
                                           regions[3], regions[2], regions[3]};
  EXPECT_TRUE(eventually([&] {
    run_steps(20, step);
    return stat_bytes(Stat::promoted_bytes) >= mib(6);
  }));
  for (std::uint32_t i = 0; i < regions.size(); ++i) {
    EXPECT_TRUE(holds(regions[i], mib(6), i + 1)) << i;
  }
}

}  // namespace
}  // namespace vhbm
