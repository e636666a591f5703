// Graphs that fill the test's memory, for the tests of what changes and what joins them.
#pragma once

#include "on_device.h"

namespace conformance {

class FillingGraph : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    memory_ = allocate(4096);
    stream_ = make_stream();
    graph_ = make_graph();
  }
  void TearDown() override {
    if (exec_ != nullptr) cuGraphExecDestroy(exec_);
    for (CUgraph graph : graphs_) cuGraphDestroy(graph);
    OnDevice::TearDown();
  }
  CUgraph make_graph() {
    CUgraph graph = nullptr;
    EXPECT_EQ(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
    graphs_.push_back(graph);
    return graph;
  }
  // The parameters of a node that fills the test's memory; they live in the fixture.
  CUDA_KERNEL_NODE_PARAMS fill(unsigned value) {
    value_ = value;
    CUDA_KERNEL_NODE_PARAMS params{};
    params.func = kernel("fill");
    params.gridDimX = 4;
    params.gridDimY = params.gridDimZ = 1;
    params.blockDimX = 256;
    params.blockDimY = params.blockDimZ = 1;
    params.kernelParams = arguments_;
    return params;
  }
  CUgraphNode add_fill(CUgraph graph, unsigned value, std::vector<CUgraphNode> after = {}) {
    const CUDA_KERNEL_NODE_PARAMS params = fill(value);
    CUgraphNode node = nullptr;
    EXPECT_EQ(cuGraphAddKernelNode(&node, graph, after.data(), after.size(), &params),
              CUDA_SUCCESS);
    return node;
  }
  CUDA_MEMSET_NODE_PARAMS set(unsigned value, std::size_t width, std::size_t height = 1) const {
    CUDA_MEMSET_NODE_PARAMS params{};
    params.dst = memory_;
    params.value = value;
    params.elementSize = 4;
    params.width = width;
    params.height = height;
    params.pitch = 256;
    return params;
  }
  CUgraphNode add_set(CUgraph graph, const CUDA_MEMSET_NODE_PARAMS& params) {
    CUgraphNode node = nullptr;
    EXPECT_EQ(cuGraphAddMemsetNode(&node, graph, nullptr, 0, &params, context_), CUDA_SUCCESS);
    return node;
  }
  void instantiate() { OK(cuGraphInstantiate(&exec_, graph_, 0)); }
  Words run() {
    EXPECT_EQ(cuGraphLaunch(exec_, stream_), CUDA_SUCCESS);
    return read(memory_, 1024);
  }

  CUdeviceptr memory_ = 0;
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  std::vector<CUgraph> graphs_;
  unsigned value_ = 0, count_ = 1024;
  void* arguments_[3] = {&memory_, &value_, &count_};
};

}  // namespace conformance
