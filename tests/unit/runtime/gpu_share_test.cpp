// Two processes on one GPU, each a runtime of its own here: who is idle gives, and where both have
// work and do not fit, they take turns.
#include <algorithm>
#include <atomic>
#include <thread>

#include "policies/policy.h"
#include "policies/tagging.h"
#include "policies/turns.h"
#include "policies/wake.h"
#include "runtime/claims.h"
#include "runtime/memory_report.h"
#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

// An application whose regions are one range, with work on a thread of its own.
class Server {
 public:
  Server(const Driver& driver, const Options& options, CUcontext context)
      : context_(context),
        host_limit_(options.host_limit.resolve({}, {})),
        state_dir_(options.state_dir) {
    auto started = Runtime::start(driver, options,
                                  {find_policy("lru")->plan, &guess_tag, &wake_order, &share_out});
    EXPECT_TRUE(started.ok()) << started.status().message();
    runtime_ = std::move(*started);
    EXPECT_CUDA(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    runtime_->stream_created(context_, stream_);
  }
  ~Server() {
    rest();
    if (region_.value != 0) {
      EXPECT_TRUE(runtime_->free(region_).ok());
    }
    runtime_.reset();
    EXPECT_CUDA(cuStreamDestroy(stream_));
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void have(Bytes size) {
    const auto made = runtime_->allocate(size);
    ASSERT_TRUE(made.ok()) << made.status().message();
    region_ = *made;
    size_ = size;
    step(size);
  }
  // One kernel's worth: the first words become the number of this step.
  void step(Bytes written = mib(1)) {
    const auto pass = runtime_->gate().pass([&] { runtime_->named(region_); });
    runtime_->named(region_);
    runtime_->launched();
    EXPECT_CUDA(cuMemsetD32Async(region_.value, ++steps_, written.value / 4, stream_));
  }
  void wait() { EXPECT_CUDA(cuStreamSynchronize(stream_)); }
  // One step that takes so long, in a thread of its own.
  std::thread long_step(std::chrono::milliseconds time) {
    return std::thread([this, time] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      step();
      runtime_->wait_begins();
      std::this_thread::sleep_for(time);
      runtime_->wait_ends();
    });
  }
  // The first words are those of the last step, the rest those of the first one.
  [[nodiscard]] bool is_right() {
    std::vector<std::uint32_t> words(size_.value / 4);
    {
      const auto pass = runtime_->gate().pass([&] { runtime_->named(region_); });
      EXPECT_CUDA(cuMemcpyDtoHAsync(words.data(), region_.value, size_.value, stream_));
      wait();
    }
    std::vector<std::uint32_t> right(words.size(), 1);
    std::fill_n(right.begin(), mib(1).value / 4, steps_);
    return words == right;
  }
  // Steps one after the other until rest().
  void work() {
    stop_ = false;
    worker_ = std::thread([this] {
      EXPECT_CUDA(cuCtxSetCurrent(context_));
      while (!stop_) {
        step();
        wait();
        ++worked_;
      }
    });
  }
  void rest() {
    stop_ = true;
    if (worker_.joinable()) worker_.join();
  }
  // As `vhbm off` does.
  void freeze() {
    for (const std::string& path : shared_files(state_dir_, stats_suffix)) {
      WatchedFile watched(path, WatchedFile::Access::write);
      auto* const file = static_cast<StatsFile*>(
          watched.map(sizeof(StatsFile), StatsFile::magic_value, stats_layout()));
      const auto limit = static_cast<std::size_t>(Stat::host_limit);
      if (file->values[limit].load() == host_limit_.value) file->control.freeze_requested = 1;
    }
    EXPECT_TRUE(eventually([&] { return stat(Stat::frozen) == 1; }));
  }
  [[nodiscard]] unsigned worked() const { return worked_; }

  [[nodiscard]] std::uint64_t stat(Stat which) const {
    for (const StatsSnapshot& one : read_live_stats(state_dir_)) {
      if (one[Stat::host_limit] == host_limit_.value) return one[which];
    }
    ADD_FAILURE() << "no statistics";
    return 0;
  }
  [[nodiscard]] Bytes resident() const { return {stat(Stat::resident_bytes)}; }

 private:
  const CUcontext context_;
  const Bytes host_limit_;  // by which its statistics are known
  const std::string state_dir_;
  std::unique_ptr<Runtime> runtime_;
  CUstream stream_ = nullptr;
  DeviceAddress region_{};
  Bytes size_;
  std::uint32_t steps_ = 0;
  std::atomic<unsigned> worked_{0};
  std::atomic<bool> stop_{false};
  std::thread worker_;
};

class SharedGpu : public PagerTest {
 protected:
  SharedGpu() {
    std::size_t total = 0;
    EXPECT_CUDA(cuDeviceTotalMem(&total, device_));
    // The simulated GPU is small, so that half of it is shared.
    EXPECT_EQ(shared_hbm({total}).value, total / 2);
    much = {total / 16 * 5};
    little = {total / 16 * 3};
  }

  std::unique_ptr<Server> server(GpuClass gpu_class = GpuClass::latency,
                                 std::chrono::milliseconds quantum = 100ms) {
    Options options = PagerTest::options(0, 200 + next_++);
    options.hbm_limit = Size::automatic();
    options.share_gpu = true;
    options.gpu_class = gpu_class;
    options.gpu_quantum = quantum;
    options.state_dir = state_dir_;
    return std::make_unique<Server>(driver_, options, context_);
  }

  [[nodiscard]] GpuUuid gpu() const {
    CUuuid told{};
    EXPECT_CUDA(cuDeviceGetUuid(&told, device_));
    GpuUuid uuid;
    std::copy(std::begin(told.bytes), std::end(told.bytes), uuid.begin());
    return uuid;
  }

  Bytes much, little;  // two of the one do not fit, two of the other do

 private:
  std::uint64_t next_ = 0;
};

TEST_F(SharedGpu, WhatFitsStaysWhereItIs) {
  const auto one = server(), other = server();
  one->have(little);
  other->have(little);
  one->work();
  other->work();
  EXPECT_TRUE(eventually([&] { return one->worked() > 20 && other->worked() > 20; }));
  one->rest();
  other->rest();
  EXPECT_EQ(one->resident(), little);
  EXPECT_EQ(other->resident(), little);
  EXPECT_EQ(one->stat(Stat::sleeps) + other->stat(Stat::sleeps), 0u);
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(other->is_right());
}

TEST_F(SharedGpu, WhoIsIdleGivesAndIsBackWithItsFirstWork) {
  const auto one = server(), other = server();
  one->have(much);
  one->wait();
  EXPECT_EQ(one->resident(), much);
  other->have(much);
  other->work();
  EXPECT_TRUE(eventually([&] { return other->resident() == much; }));
  other->rest();
  EXPECT_TRUE(eventually([&] { return one->stat(Stat::asleep) == 1; }));
  // What nobody else needs stayed.
  EXPECT_GT(one->resident(), mib(0));
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(eventually([&] { return one->stat(Stat::wakes) >= 1; }));
  one->work();
  EXPECT_TRUE(eventually([&] { return one->resident() == much; }));
  one->rest();
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(other->is_right());
}

TEST_F(SharedGpu, TwoThatDoNotFitTakeTurns) {
  const auto one = server(), other = server();
  one->have(much);
  other->have(much);
  one->work();
  other->work();
  EXPECT_TRUE(eventually([&] {
    return one->stat(Stat::turns) >= 3 && other->stat(Stat::turns) >= 3 && one->worked() > 20 &&
           other->worked() > 20;
  }));
  one->rest();
  other->rest();
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(other->is_right());
}

TEST_F(SharedGpu, WorkWaitsForItsTurnAlsoWhereNothingOfItIsInHbm) {
  const auto one = server(GpuClass::latency, 1h), other = server(GpuClass::batch, 1h);
  one->have(much);
  one->work();
  EXPECT_TRUE(eventually([&] { return one->worked() > 5; }));
  other->have(much);
  other->work();
  EXPECT_TRUE(eventually([&] { return other->stat(Stat::asleep) == 1; }));
  const unsigned before = one->worked(), waiting = other->worked();
  EXPECT_TRUE(eventually([&] { return one->worked() > before + 5; }));
  // One step may have ended, and not been counted yet.
  EXPECT_LE(other->worked(), waiting + 1);
  one->rest();
  EXPECT_TRUE(eventually([&] { return other->worked() > waiting + 5; }));
  EXPECT_EQ(other->resident(), much);
  other->rest();
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(other->is_right());
}

TEST_F(SharedGpu, WhoWaitsForALongKernelIsNotIdle) {
  const auto one = server(GpuClass::latency, 1h), other = server(GpuClass::batch, 1h);
  one->have(much);
  other->have(much);
  std::thread waiting = one->long_step(2500ms);
  EXPECT_TRUE(eventually([&] { return one->resident() == much; }));
  other->work();
  EXPECT_TRUE(eventually([&] { return other->stat(Stat::waits_for_turn) == 1; }));
  std::this_thread::sleep_for(800ms);
  EXPECT_EQ(other->stat(Stat::waits_for_turn), 1u);
  waiting.join();
  EXPECT_TRUE(eventually([&] { return other->worked() > 5; }));
  other->rest();
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(other->is_right());
}

TEST_F(SharedGpu, LatencyDoesNotWaitForTheEndOfABatchOnesTurn) {
  const auto batch = server(GpuClass::batch, 1h), latency = server(GpuClass::latency, 1h);
  latency->have(much);
  latency->wait();
  batch->have(much);
  batch->work();
  EXPECT_TRUE(eventually([&] { return latency->stat(Stat::asleep) == 1; }));
  const unsigned before = batch->worked();
  EXPECT_TRUE(eventually([&] { return batch->worked() > before + 5; }));
  EXPECT_TRUE(latency->is_right());
  batch->rest();
  EXPECT_TRUE(batch->is_right());
}

TEST_F(SharedGpu, AProcessThatEndsLeavesItsShareToTheOthers) {
  const auto one = server();
  auto other = server();
  one->have(much);
  other->have(much);
  other->work();
  EXPECT_TRUE(eventually([&] { return other->resident() == much; }));
  other.reset();
  one->work();
  EXPECT_TRUE(eventually([&] { return one->resident() == much; }));
  one->rest();
  EXPECT_TRUE(one->is_right());
}

TEST_F(SharedGpu, TellsWhatChangingTheTurnTook) {
  Claims watching(state_dir_, gpu());
  std::string why_not;
  ASSERT_TRUE(watching.join(0, &why_not)) << why_not;
  const auto one = server(), other = server();
  one->have(much);
  other->have(much);
  one->work();
  other->work();
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch(); };
  EXPECT_TRUE(eventually([&] {
    const std::vector<Claim>& claims = watching.all(now());
    return std::count_if(claims.begin(), claims.end(), [](const Claim& claim) {
             return claim.change > 1us && claim.change < 10s;
           }) == 2;
  }));
  one->rest();
  other->rest();
}

// Stopped with its turn: its claim stays, and is published no more.
TEST_F(SharedGpu, NobodyWaitsForOneThatIsStopped) {
  Claims stopped(state_dir_, gpu());
  std::string why_not;
  ASSERT_TRUE(stopped.join(0, &why_not)) << why_not;
  const auto one = server();
  one->have(much);
  Claim claim;
  claim.id = 1;
  claim.wants = much;
  claim.active = claim.responds = true;
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  claim.active_since = claim.active_at = claim.turn_since = now;
  stopped.publish(claim, now);
  one->work();
  EXPECT_TRUE(eventually([&] { return one->stat(Stat::waits_for_turn) == 1; }));
  const unsigned before = one->worked();
  EXPECT_TRUE(eventually([&] { return one->worked() > before + 5; }));
  one->rest();
  EXPECT_TRUE(one->is_right());
}

TEST_F(SharedGpu, NobodyWaitsForOneThatIsFrozen) {
  const auto one = server(), other = server();
  one->have(much);
  one->freeze();
  other->have(much);
  other->work();
  EXPECT_TRUE(eventually([&] { return other->worked() > 20; }));
  other->rest();
  EXPECT_EQ(one->resident(), much);
  EXPECT_TRUE(one->is_right());
  EXPECT_TRUE(other->is_right());
}

}  // namespace
}  // namespace vhbm
