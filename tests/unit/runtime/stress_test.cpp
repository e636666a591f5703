// Threads allocate, write, read and free at several times HBM, while everything moves, against a
// shadow.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

class Stress : public PagerTest {
 protected:
  // One thread's application: its own stream and regions, and what they should hold.
  void run_application(unsigned seed, std::chrono::steady_clock::time_point end);
};

void Stress::run_application(unsigned seed, std::chrono::steady_clock::time_point end) {
  struct Shadowed {
    DeviceAddress address;
    std::vector<unsigned char> bytes;
  };
  std::mt19937 random(seed);
  std::vector<Shadowed> regions;
  CUstream stream = nullptr;
  ASSERT_CUDA(cuCtxSetCurrent(context_));
  ASSERT_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  runtime_->stream_created(context_, stream);
  const auto new_region = [&] {
    const Bytes size = mib(2) + Bytes{random() % (6u << 20)};
    auto made = runtime_->allocate(size);
    if (!made.ok()) return;
    regions.push_back({*made, std::vector<unsigned char>(size.value, 0)});
    const auto pass = runtime_->gate().pass();
    runtime_->touched(*made, size);
    ASSERT_CUDA(cuMemsetD8Async(made->value, 0, size.value, stream));
  };
  while (std::chrono::steady_clock::now() < end) {
    if (regions.size() < 4) new_region();
    if (regions.empty()) continue;
    const std::size_t which = random() % regions.size();
    Shadowed& region = regions[which];
    const std::size_t offset = random() % region.bytes.size();
    const std::size_t length =
        1 + random() % std::min<std::size_t>(region.bytes.size() - offset, 3u << 20);
    switch (random() % 8) {
      case 0:
        ASSERT_TRUE(runtime_->free(region.address).ok());
        regions.erase(regions.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      case 1: {
        std::vector<unsigned char> read(length);
        {
          const auto pass = runtime_->gate().pass();
          runtime_->touched(region.address + Bytes{offset}, {length});
          ASSERT_CUDA(
              cuMemcpyDtoHAsync(read.data(), region.address.value + offset, length, stream));
        }
        ASSERT_CUDA(cuStreamSynchronize(stream));
        ASSERT_EQ(std::memcmp(read.data(), region.bytes.data() + offset, length), 0);
        break;
      }
      case 2:
      case 3:
        runtime_->named(region.address);
        break;
      default: {
        const auto value = static_cast<unsigned char>(random());
        std::memset(region.bytes.data() + offset, value, length);
        const auto pass = runtime_->gate().pass();
        runtime_->touched(region.address + Bytes{offset}, {length});
        ASSERT_CUDA(cuMemsetD8Async(region.address.value + offset, value, length, stream));
      }
    }
  }
  for (const Shadowed& region : regions) {
    std::vector<unsigned char> read(region.bytes.size());
    const auto pass = runtime_->gate().pass();
    ASSERT_CUDA(cuMemcpyDtoHAsync(read.data(), region.address.value, read.size(), stream));
    ASSERT_CUDA(cuStreamSynchronize(stream));
    ASSERT_TRUE(read == region.bytes);
  }
  runtime_->stream_destroyed(stream);
  ASSERT_CUDA(cuStreamDestroy(stream));
}

TEST_F(Stress, KeepsEveryByteOfManyThreads) {
  const char* seconds = std::getenv("VHBM_STRESS_SECONDS");
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::seconds(seconds == nullptr ? 2 : std::atoi(seconds));
  start(16, 96);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) {
    threads.emplace_back([this, i, end] { run_application(1000 + i, end); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(stat(Stat::flips), 0u);
  EXPECT_EQ(stat(Stat::frozen), 0u);
  EXPECT_EQ(stat(Stat::driver_errors), 0u);
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(16));
  RecordProperty("flips", static_cast<int>(stat(Stat::flips)));
}

}  // namespace
}  // namespace vhbm
