// What the pager's tests share: a context, a driver table whose entries a test may make fail, and
// an application that uses a runtime as the hooks do.
#pragma once

#include <cuda.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/stats_reader.h"

namespace vhbm {

#define ASSERT_CUDA(call) ASSERT_EQ(call, CUDA_SUCCESS) << #call
#define EXPECT_CUDA(call) EXPECT_EQ(call, CUDA_SUCCESS) << #call

// Fails chosen calls of the driver: the first `skip` go through, the next `count` answer `error`.
struct Fault {
  std::atomic<long> skip{-1};
  std::atomic<long> count{0};
  std::atomic<CUresult> error{CUDA_ERROR_UNKNOWN};
  std::atomic<long> seen{0}, failed{0};

  void arm(long after, long times, CUresult with) {
    seen = failed = 0;
    error = with;
    count = times;
    skip = after;
  }
  void disarm() { skip = -1; }
  [[nodiscard]] bool strikes() {
    const long now = seen++;
    const long after = skip;
    if (after < 0 || now < after || now >= after + count) return false;
    ++failed;
    return true;
  }
};

// The faults of the functions below; cleared for each test.
struct Faults {
  Fault create, map, unmap, access, copy, stream_query;
};
Faults& faults();

// The driver's own table, loaded from libcuda.so.1, and the same with the faults in front.
const Driver& real_driver();
Driver faulty_driver();

// Repeats until `condition` holds; false after `patience`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds patience = std::chrono::seconds(20));

class PagerTest : public ::testing::Test {
 protected:
  PagerTest();
  ~PagerTest() override;

  // HBM and host limits in MiB; rounds every millisecond.
  static Options options(std::uint64_t hbm, std::uint64_t host);
  void start(const Options& options, std::unique_ptr<BlockStore> below = {});
  void start(std::uint64_t hbm, std::uint64_t host) { start(options(hbm, host)); }
  // Frees what allocate() gave, and ends the runtime.
  void finish();

  [[nodiscard]] std::uint64_t stat(Stat stat) const;
  [[nodiscard]] Bytes stat_bytes(Stat which) const { return {stat(which)}; }

  // As an application does, through the gate, saying what it touches.
  DeviceAddress allocate(Bytes size);
  void fill(DeviceAddress address, Bytes size, std::uint32_t seed);
  // Whether the bytes are those that fill() wrote.
  bool holds(DeviceAddress address, Bytes size, std::uint32_t seed);
  // Names the region again and again until `condition` holds.
  bool use_until(DeviceAddress region, const std::function<bool()>& condition);

  // Blocks a stream with a host function until release(); the destructor releases as well.
  class Blockade {
   public:
    explicit Blockade(CUstream stream);
    ~Blockade() { release(); }
    void release() { released_->store(true); }

   private:
    static void wait(void* released);
    std::shared_ptr<std::atomic<bool>> released_ = std::make_shared<std::atomic<bool>>(false);
  };

  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  const std::string state_dir_;
  Driver driver_;
  std::unique_ptr<Runtime> runtime_;
  std::vector<DeviceAddress> allocated_;
};

}  // namespace vhbm
