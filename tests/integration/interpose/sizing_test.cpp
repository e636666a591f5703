// What servers compute from what they are told of memory is what docs/reporting.md promises. Each
// rule is written down from the public source that the page names, and goes through that server's
// steps in its order, with real allocations, at an eighth of the page's sizes.
//
// Started once for each column of the page, by its number in SIZING_COLUMN; with NEIGHBOUR_FIRST in
// GiB of the page another process was there first.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "gpu_test.h"
#include "queried_memory.h"
#include "sharing_peer.h"
#include "simgpu/nvml.h"

namespace {

// Of the page's sizes, in bytes here.
constexpr double gibibyte = static_cast<double>(1ull << 30) / 8;
std::size_t bytes(double gib_of_page) {
  return static_cast<std::size_t>(gib_of_page * gibibyte);
}
double on_page(double size) {
  return size / gibibyte;
}

constexpr double device = 80, weights = 30, activations = 4, libraries = 1;

int column() {
  const char* text = std::getenv("SIZING_COLUMN");
  return text == nullptr ? 0 : std::atoi(text);
}

// The page's figure for a server in this run's column.
double promised(const std::string& server) {
  std::ifstream page(REPORTING_PAGE);
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("| " + server + ", ", 0) != 0) continue;
    std::stringstream cells(line.substr(1));
    std::string cell;
    for (int i = 0; i <= column(); ++i) std::getline(cells, cell, '|');
    return std::strtod(cell.c_str(), nullptr);
  }
  ADD_FAILURE() << "docs/reporting.md has no row for " << server;
  return 0;
}

struct Told {
  std::size_t free = 0, total = 0;
};
Told ask(const Api& api = hooked()) {
  Told told;
  EXPECT_CUDA(api.cuMemGetInfo_v2(&told.free, &told.total));
  return told;
}

// Memory of this process, as long as this lives.
class Block {
 public:
  explicit Block(double gib_of_page) { EXPECT_CUDA(cuMemAlloc(&base_, bytes(gib_of_page))); }
  ~Block() { EXPECT_CUDA(cuMemFree(base_)); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  CUdeviceptr base_ = 0;
};

// Another process, without vHBM, that takes memory of the same GPU and keeps it as long as this
// lives; the driver's own figures show it.
class Neighbour {
 public:
  explicit Neighbour(double gib_of_page = 0.5) : process_(Peer::Preload::no) {
    const std::size_t before = ask(drivers_own()).free;
    Message order;
    order.order = Order::allocate;
    order.size = bytes(gib_of_page);
    EXPECT_CUDA(process_.ask(order).result);
    EXPECT_EQ(before - ask(drivers_own()).free, bytes(gib_of_page));
  }
  ~Neighbour() { EXPECT_TRUE(process_.end()); }
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;

 private:
  Peer process_;
};

// In the neighbour's process.
TEST(SharingPeer, DISABLED_TakesMemory) {
  CUcontext context = nullptr;
  ASSERT_CUDA(cuInit(0));
  ASSERT_CUDA(cuDevicePrimaryCtxRetain(&context, 0));
  ASSERT_CUDA(cuCtxSetCurrent(context));
  for (Message order; Peer::receive(&order);) {
    order.result = cuMemAlloc(&order.address, order.size);
    Peer::answer(order);
  }
}

class Sizing : public ::testing::Test {
 protected:
  Sizing() {
    EXPECT_CUDA(cuInit(0));
    EXPECT_CUDA(cuDevicePrimaryCtxRetain(&context_, 0));
    EXPECT_CUDA(cuCtxSetCurrent(context_));
    if (const char* first = std::getenv("NEIGHBOUR_FIRST")) {
      neighbour_.emplace(std::strtod(first, nullptr));
    }
  }
  ~Sizing() override { EXPECT_CUDA(cuDevicePrimaryCtxRelease(0)); }

  // The server makes its cache of what it computed, and it lies where the page says.
  static void expect_promised(const std::string& server, double cache) {
    EXPECT_NEAR(on_page(cache), promised(server), 0.01) << server;
    std::printf("%s: %.2f GiB of KV\n", server.c_str(), on_page(cache));
    const Block made(on_page(cache));
    const std::uint64_t in_host = stat_of_this_process("host_mapped_bytes");
    if (column() < 3) {
      EXPECT_EQ(in_host, 0u);
    } else {
      EXPECT_GT(in_host, 0u);
    }
  }
  CUcontext context_ = nullptr;
  std::optional<Neighbour> neighbour_;
};

// vLLM: nothing where it refuses to start.
std::optional<double> vllm(double utilization) {
  const Told at_start = ask();
  const double requested = std::ceil(static_cast<double>(at_start.total) * utilization);
  if (static_cast<double>(at_start.free) < requested) return std::nullopt;
  const Block of_weights(weights);
  std::optional<Neighbour> neighbour(std::in_place);
  const Block of_libraries(libraries);
  { const Block at_peak(activations); }  // what the framework caches is given back
  const Told after = ask();
  neighbour.reset();
  // What is in use, less what the framework holds, now and at the start.
  const double beside_framework = static_cast<double>(after.total - after.free) -
                                  static_cast<double>(bytes(weights)) -
                                  static_cast<double>(at_start.total - at_start.free);
  return requested - static_cast<double>(bytes(weights) + bytes(activations)) - beside_framework;
}

double sglang(double fraction) {
  std::optional<Neighbour> neighbour(std::in_place);
  const double before = static_cast<double>(ask().free);
  const Block of_weights(weights);
  neighbour.reset();
  return static_cast<double>(ask().free) - before * (1 - fraction);
}

double tensorrt_llm(double fraction) {
  constexpr double small_cache = 2;
  const Block of_weights(weights);
  const Block of_cache(small_cache), of_libraries(libraries);
  std::optional<Neighbour> neighbour(std::in_place);
  { const Block at_peak(activations); }
  const Told after = ask();
  neighbour.reset();
  const double used = static_cast<double>(after.total - after.free);
  const double beside_framework = std::max(used - static_cast<double>(bytes(weights)), 0.0);
  const double peak = static_cast<double>(bytes(weights + activations)) + beside_framework;
  return (static_cast<double>(after.total) - peak + static_cast<double>(bytes(small_cache))) *
         fraction;
}

TEST_F(Sizing, OfVllmIsAsPromised) {
  if (neighbour_) GTEST_SKIP();
  const auto cache = vllm(0.9);
  ASSERT_TRUE(cache.has_value()) << "it refuses to start";
  const Block of_weights(weights), of_libraries(libraries);
  expect_promised("vLLM", *cache);
}

TEST_F(Sizing, OfSglangIsAsPromised) {
  if (neighbour_) GTEST_SKIP();
  const double cache = sglang(0.88);
  const Block of_weights(weights);
  expect_promised("SGLang", cache);
}

TEST_F(Sizing, OfTensorRtLlmIsAsPromised) {
  if (neighbour_) GTEST_SKIP();
  const double cache = tensorrt_llm(0.9);
  const Block of_weights(weights), of_libraries(libraries);
  expect_promised("TensorRT-LLM", cache);
}

// Frameworks ask NVML as well, and must not find another GPU there.
TEST_F(Sizing, NvmlTellsTheSameTotal) {
  nvmlDevice_t gpu = nullptr;
  nvmlMemory_t memory{};
  ASSERT_EQ(nvmlInit_v2(), NVML_SUCCESS);
  ASSERT_EQ(nvmlDeviceGetHandleByIndex_v2(0, &gpu), NVML_SUCCESS);
  ASSERT_EQ(nvmlDeviceGetMemoryInfo(gpu, &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.total, ask().total);
  EXPECT_EQ(nvmlShutdown(), NVML_SUCCESS);
}

TEST_F(Sizing, BesideANeighbourWhoWasFirstIsAsPromised) {
  if (!neighbour_) GTEST_SKIP();
  const Told told = ask();
  if (column() == 2) {  // a limit that fits beside it
    EXPECT_EQ(told.free, bytes(60));
    EXPECT_TRUE(vllm(0.9).has_value());
    return;
  }
  EXPECT_EQ(told.total, bytes(device));
  EXPECT_NEAR(on_page(static_cast<double>(told.free)), 60, 0.5);  // and what a context takes
  EXPECT_FALSE(vllm(0.9).has_value());
}

}  // namespace
