// What servers compute from what they are told of memory is what docs/reporting.md promises. Each
// rule is written down from the public source that the page names, and goes through that server's
// steps in its order, with real allocations, at an eighth of the page's sizes.
//
// The simulated GPU's memory is each process's own, so a neighbour is played by allocations past
// the hooks: the driver's own figures move by them as they would by another process's.
//
// Started once for each column of the page, by its number in SIZING_COLUMN; with
// NEIGHBOUR_FIRST in GiB of the page it was there first.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "gpu_test.h"
#include "queried_memory.h"
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

// Memory of the process, or past the hooks, as long as this lives.
class Block {
 public:
  explicit Block(double gib_of_page, const Api& api = hooked()) : api_(api) {
    EXPECT_CUDA(api.cuMemAlloc_v2(&base_, bytes(gib_of_page)));
  }
  ~Block() { EXPECT_CUDA(api_.cuMemFree_v2(base_)); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  const Api& api_;
  CUdeviceptr base_ = 0;
};

// Another process that comes while a server measures; the driver's own figures show it.
class Neighbour {
 public:
  Neighbour() : before_(ask(drivers_own())), memory_(size, drivers_own()) {
    EXPECT_EQ(before_.free - ask(drivers_own()).free, bytes(size));
  }

 private:
  static constexpr double size = 0.5;
  const Told before_;
  const Block memory_;
};

class Sizing : public ::testing::Test {
 protected:
  Sizing() {
    EXPECT_CUDA(cuInit(0));
    EXPECT_CUDA(cuDevicePrimaryCtxRetain(&context_, 0));
    EXPECT_CUDA(cuCtxSetCurrent(context_));
    if (const char* first = std::getenv("NEIGHBOUR_FIRST")) {
      // It stays, which spares the simulated GPU to overwrite it.
      EXPECT_CUDA(drivers_own().cuMemAlloc_v2(&neighbour_, bytes(std::strtod(first, nullptr))));
    }
  }
  ~Sizing() override {
    EXPECT_CUDA(cuDevicePrimaryCtxRelease(0));
  }

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
  CUdeviceptr neighbour_ = 0;
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
  if (neighbour_ != 0) GTEST_SKIP();
  const auto cache = vllm(0.9);
  ASSERT_TRUE(cache.has_value()) << "it refuses to start";
  const Block of_weights(weights), of_libraries(libraries);
  expect_promised("vLLM", *cache);
}

TEST_F(Sizing, OfSglangIsAsPromised) {
  if (neighbour_ != 0) GTEST_SKIP();
  const double cache = sglang(0.88);
  const Block of_weights(weights);
  expect_promised("SGLang", cache);
}

TEST_F(Sizing, OfTensorRtLlmIsAsPromised) {
  if (neighbour_ != 0) GTEST_SKIP();
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
  if (neighbour_ == 0) GTEST_SKIP();
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
