// What a listener is told of kernels, against what the program knows of them.
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "device.h"
#include "vector_math.h"

namespace {

struct Told {
  std::string name;
  SimgpuKernelRun run;
};
std::mutex mutex;
std::vector<Told> all_told;

void listen(const SimgpuKernelRun* run) {
  std::lock_guard lock(mutex);
  all_told.push_back({run->name, *run});
}

long long now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class KernelListener : public Device {
 protected:
  void SetUp() override {
    Device::SetUp();
    ASSERT_EQ(gpu_image::load(vector_math_images(), &module_), CUDA_SUCCESS);
    ASSERT_EQ(cuModuleGetFunction(&add_, module_, "vector_add"), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAlloc(&words_, kPage), CUDA_SUCCESS);
    all_told.clear();
    simgpu_set_kernel_listener(&listen);
  }
  void TearDown() override {
    simgpu_set_kernel_listener(nullptr);
    cuMemFree(words_);
    cuStreamDestroy(stream_);
    cuModuleUnload(module_);
    Device::TearDown();
  }
  void add(CUdeviceptr where) {
    int n = 300;
    void* parameters[] = {&where, &where, &where, &n};
    ASSERT_EQ(cuLaunchKernel(add_, 2, 1, 1, 256, 1, 1, 0, stream_, parameters, nullptr),
              CUDA_SUCCESS);
  }

  CUmodule module_ = nullptr;
  CUfunction add_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr words_ = 0;
};

TEST_F(KernelListener, IsToldBeforeTheProgramKnows) {
  const long long begin = now();
  for (int i = 0; i < 5; ++i) add(words_);
  ASSERT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  const long long end = now();
  ASSERT_EQ(all_told.size(), 5u);
  unsigned long long stream = 0;
  ASSERT_EQ(cuStreamGetId(stream_, &stream), CUDA_SUCCESS);
  long long last = begin;
  for (const Told& one : all_told) {
    EXPECT_EQ(one.name, "vector_add");
    EXPECT_EQ(one.run.stream, stream);
    EXPECT_EQ(one.run.device, 0u);
    EXPECT_EQ(one.run.graph, 0u);
    EXPECT_EQ(one.run.graph_node, 0u);
    EXPECT_EQ(one.run.grid[0], 2u);
    EXPECT_EQ(one.run.block[0], 256u);
    EXPECT_GE(one.run.begin_ns, last);
    EXPECT_GT(one.run.end_ns, one.run.begin_ns);
    last = one.run.end_ns;
  }
  EXPECT_LE(last, end);
  simgpu_set_kernel_listener(nullptr);
  add(words_);
  ASSERT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(all_told.size(), 5u);
}

TEST_F(KernelListener, IsToldWhichNodeOfWhichGraphItWas) {
  CUgraph graph = nullptr;
  CUgraphExec first = nullptr, second = nullptr;
  ASSERT_EQ(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  add(words_);
  add(words_);
  ASSERT_EQ(cuStreamEndCapture(stream_, &graph), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&first, graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&second, graph, 0), CUDA_SUCCESS);
  for (const CUgraphExec one : {first, second, first}) {
    ASSERT_EQ(cuGraphLaunch(one, stream_), CUDA_SUCCESS);
  }
  add(words_);
  ASSERT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  ASSERT_EQ(all_told.size(), 7u);
  const auto run = [](std::size_t i) { return all_told[i].run; };
  EXPECT_NE(run(0).graph, 0u);
  EXPECT_EQ(run(1).graph, run(0).graph);
  EXPECT_NE(run(2).graph, run(0).graph);
  EXPECT_EQ(run(4).graph, run(0).graph);
  EXPECT_EQ(run(0).graph_node, 1u);
  EXPECT_EQ(run(1).graph_node, 2u);
  EXPECT_EQ(run(5).graph_node, 2u);
  EXPECT_EQ(run(6).graph, 0u);
}

TEST_F(KernelListener, HearsNothingOfAKernelThatFaulted) {
  CUcontext own = nullptr;
#if CUDA_VERSION >= 13000
  ASSERT_EQ(cuCtxCreate(&own, nullptr, 0, 0), CUDA_SUCCESS);
#else
  ASSERT_EQ(cuCtxCreate(&own, 0, 0), CUDA_SUCCESS);
#endif
  CUmodule module = nullptr;
  CUdeviceptr hole = 0;
  ASSERT_EQ(gpu_image::load(vector_math_images(), &module), CUDA_SUCCESS);
  CUfunction function = nullptr;
  ASSERT_EQ(cuModuleGetFunction(&function, module, "vector_add"), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAddressReserve(&hole, kPage, 0, 0, 0), CUDA_SUCCESS);
  int n = 300;
  void* parameters[] = {&hole, &hole, &hole, &n};
  ASSERT_EQ(cuLaunchKernel(function, 2, 1, 1, 256, 1, 1, 0, nullptr, parameters, nullptr),
            CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_TRUE(all_told.empty());
  cuCtxDestroy(own);
  ASSERT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
}

}  // namespace
