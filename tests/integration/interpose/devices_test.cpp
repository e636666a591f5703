// Two GPUs in one process: each has its own window of addresses, its own limit for HBM and its own
// statistics; the limit for host memory is for both together.
#include <thread>

#include "gpu_test.h"

namespace {

constexpr std::size_t piece = 8 * mebibyte;

class Gpu : public GpuTest {
 public:
  explicit Gpu(CUdevice device) : GpuTest(device) {}
  // What the fixture made goes with its context.
  ~Gpu() override { use(); }
  using GpuTest::add;
  using GpuTest::fill;
  using GpuTest::holds;
  void TestBody() override {}
  void use() const { EXPECT_CUDA(cuCtxSetCurrent(context_)); }
  // So many pieces, filled by kernels with the piece's number.
  void allocate(std::size_t pieces) {
    use();
    for (std::size_t i = 0; i < pieces; ++i) {
      CUdeviceptr one = 0;
      EXPECT_CUDA(cuMemAlloc(&one, piece));
      fill(one, piece, static_cast<std::uint32_t>(memory.size()));
      memory.push_back(one);
    }
  }
  void add_to_all(std::uint32_t value) {
    use();
    for (CUdeviceptr one : memory) add(one, piece, value);
    added += value;
  }
  void check() {
    use();
    for (std::size_t i = 0; i < memory.size(); ++i) {
      EXPECT_TRUE(holds(memory[i], piece, static_cast<std::uint32_t>(i), added)) << "piece " << i;
    }
  }
  void free_all() {
    use();
    for (CUdeviceptr one : memory) EXPECT_CUDA(cuMemFree(one));
    memory.clear();
  }
  [[nodiscard]] std::uint64_t stat_here(const char* name) const { return stat(name, device_); }
  [[nodiscard]] CUcontext context() const { return context_; }

  std::vector<CUdeviceptr> memory;
  std::uint32_t added = 0;
};

class DevicesTest : public ::testing::Test {
 protected:
  ~DevicesTest() override {
    for (Gpu* gpu : {&first_, &second_}) {
      gpu->free_all();
      EXPECT_LE(gpu->stat_here("peak_hbm_bytes"), hbm_limit);
      EXPECT_EQ(gpu->stat_here("frozen"), 0u);
      EXPECT_EQ(gpu->stat_here("driver_errors"), 0u);
      EXPECT_EQ(gpu->stat_here("regions"), 0u);
    }
  }
  Gpu first_{0}, second_{1};
};

TEST_F(DevicesTest, PageEachTheirOwnMemory) {
  for (Gpu* gpu : {&first_, &second_}) gpu->allocate(2 * hbm_limit / piece);
  const auto moved = [](const Gpu& gpu) { return gpu.stat_here("promoted_bytes"); };
  const std::uint64_t before[] = {moved(first_), moved(second_)};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((moved(first_) == before[0] || moved(second_) == before[1]) &&
         std::chrono::steady_clock::now() < deadline) {
    for (Gpu* gpu : {&first_, &second_}) {
      gpu->use();
      // The last ones began in host memory.
      gpu->add(gpu->memory.back(), piece, 1);
      gpu->add(gpu->memory.back(), piece, static_cast<std::uint32_t>(-1));
      EXPECT_CUDA(cuCtxSynchronize());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(moved(first_), before[0]);
  EXPECT_GT(moved(second_), before[1]);
  for (Gpu* gpu : {&first_, &second_}) gpu->add_to_all(3);
  first_.check();
  second_.check();
  EXPECT_EQ(first_.stat_here("region_bytes"), 2 * hbm_limit);
  EXPECT_EQ(second_.stat_here("region_bytes"), 2 * hbm_limit);
}

TEST_F(DevicesTest, CopyToEachOther) {
  first_.allocate(2 * hbm_limit / piece);
  second_.allocate(2 * hbm_limit / piece);
  for (std::size_t i = 0; i < first_.memory.size(); ++i) {
    const std::size_t other = first_.memory.size() - 1 - i;
    first_.use();
    EXPECT_CUDA(cuCtxSynchronize());
    second_.use();
    EXPECT_CUDA(cuCtxSynchronize());
    EXPECT_CUDA(cuMemcpyPeer(second_.memory[i], second_.context(), first_.memory[other],
                             first_.context(), piece));
    EXPECT_CUDA(cuCtxSynchronize());
  }
  for (std::size_t i = 0; i < second_.memory.size(); ++i) {
    const std::size_t other = first_.memory.size() - 1 - i;
    EXPECT_TRUE(second_.holds(second_.memory[i], piece, static_cast<std::uint32_t>(other)));
  }
}

TEST_F(DevicesTest, ShareTheHostsLimit) {
  first_.allocate((hbm_limit + host_limit / 2) / piece);
  second_.use();
  CUresult result = CUDA_SUCCESS;
  while (result == CUDA_SUCCESS && second_.memory.size() < 2 * host_limit / piece) {
    CUdeviceptr one = 0;
    result = cuMemAlloc(&one, piece);
    if (result != CUDA_SUCCESS) break;
    second_.fill(one, piece, static_cast<std::uint32_t>(second_.memory.size()));
    second_.memory.push_back(one);
  }
  EXPECT_EQ(result, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_LE(first_.stat_here("host_bytes") + second_.stat_here("host_bytes"), host_limit);
  EXPECT_GE((first_.memory.size() + second_.memory.size()) * piece,
            2 * hbm_limit + host_limit - 2 * piece);
  first_.check();
  second_.check();
}

TEST_F(DevicesTest, AreToldOfTheirOwnMemory) {
  first_.allocate(2);
  for (const Gpu* gpu : {&first_, &second_}) {
    gpu->use();
    std::size_t free = 0, total = 0;
    EXPECT_CUDA(cuMemGetInfo(&free, &total));
    EXPECT_EQ(total, hbm_limit);
    EXPECT_EQ(free, hbm_limit - gpu->memory.size() * piece);
  }
  int device = -1;
  second_.allocate(1);
  EXPECT_CUDA(
      cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, second_.memory.front()));
  EXPECT_EQ(device, 1);
  // Whatever is current.
  first_.use();
  EXPECT_CUDA(cuMemFree(second_.memory.front()));
  second_.memory.clear();
}

TEST_F(DevicesTest, LoseWhatBelongsToAContextThatEnds) {
  first_.allocate(2);
  CUcontext own = nullptr;
#if CUDA_VERSION >= 13000
  ASSERT_CUDA(cuCtxCreate(&own, nullptr, 0, 1));
#else
  ASSERT_CUDA(cuCtxCreate(&own, 0, 1));
#endif
  CUdeviceptr lost = 0;
  ASSERT_CUDA(cuMemAlloc(&lost, piece));
  EXPECT_EQ(second_.stat_here("regions"), 1u);
  ASSERT_CUDA(cuCtxDestroy(own));
  EXPECT_EQ(second_.stat_here("regions"), 0u);
  EXPECT_EQ(first_.stat_here("regions"), 2u);
  first_.check();
}

}  // namespace
