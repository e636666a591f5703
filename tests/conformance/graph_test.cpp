// Graphs made by hand, instantiated, changed and launched.
#include "on_device.h"

using namespace conformance;

namespace {

class Graph : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    OK(cuGraphCreate(&graph_, 0));
    memory_ = allocate(4096);
  }
  void TearDown() override {
    if (exec_ != nullptr) cuGraphExecDestroy(exec_);
    if (graph_ != nullptr) cuGraphDestroy(graph_);
    OnDevice::TearDown();
  }
  // A node that fills the test's memory; the parameters live in the fixture.
  CUDA_KERNEL_NODE_PARAMS fill(unsigned value) {
    address_ = memory_;
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
  CUDA_KERNEL_NODE_PARAMS add_one() {
    CUDA_KERNEL_NODE_PARAMS params = fill(0);
    params.func = kernel("add_one");
    params.kernelParams = add_arguments_;
    return params;
  }
  CUgraphNode add(const CUDA_KERNEL_NODE_PARAMS& params, std::vector<CUgraphNode> after = {}) {
    CUgraphNode node = nullptr;
    EXPECT_EQ(cuGraphAddKernelNode(&node, graph_, after.data(), after.size(), &params),
              CUDA_SUCCESS);
    return node;
  }
  Words run() {
    if (exec_ == nullptr) {
      EXPECT_EQ(cuGraphInstantiate(&exec_, graph_, 0), CUDA_SUCCESS);
    }
    EXPECT_EQ(cuGraphLaunch(exec_, nullptr), CUDA_SUCCESS);
    return read(memory_, 1024);
  }

  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  CUdeviceptr memory_ = 0, address_ = 0;
  unsigned value_ = 0, count_ = 1024;
  void* arguments_[3] = {&address_, &value_, &count_};
  void* add_arguments_[2] = {&address_, &count_};
};

TEST_F(Graph, RunsItsNodesInTheOrderOfTheEdges) {
  CUgraphNode first = add(fill(5));
  CUgraphNode second = add(add_one(), {first});
  add(add_one(), {second});
  EXPECT_EQ(run(), Words(1024, 7u));
}

TEST_F(Graph, TakesParametersWhenANodeIsAdded) {
  add(fill(5));
  value_ = 6;
  EXPECT_EQ(run(), Words(1024, 5u));
}

TEST_F(Graph, CountsAndListsItsNodes) {
  // cuda.h, cuGraphGetNodes: "nodes may be NULL, in which case this function will return the number
  // of nodes"
  CUgraphNode first = add(fill(5));
  add(add_one(), {first});
  std::size_t count = 0;
  OK(cuGraphGetNodes(graph_, nullptr, &count));
  EXPECT_EQ(count, 2u);
  std::vector<CUgraphNode> nodes(4, first);
  count = 4;
  OK(cuGraphGetNodes(graph_, nodes.data(), &count));
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(nodes[2], nullptr);  // "remaining entries in nodes will be set to NULL"
}

TEST_F(Graph, KnowsItsRoots) {
  CUgraphNode first = add(fill(5)), root = nullptr;
  add(add_one(), {first});
  std::size_t count = 1;
  OK(cuGraphGetRootNodes(graph_, &root, &count));
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(root, first);
}

TEST_F(Graph, KernelNodesGiveTheirParametersBack) {
  CUgraphNode node = add(fill(5));
  CUDA_KERNEL_NODE_PARAMS params{};
  OK(cuGraphKernelNodeGetParams(node, &params));
  EXPECT_EQ(params.gridDimX, 4u);
  EXPECT_EQ(params.blockDimX, 256u);
  ASSERT_NE(params.kernelParams, nullptr);
  EXPECT_EQ(*static_cast<CUdeviceptr*>(params.kernelParams[0]), memory_);
  EXPECT_EQ(*static_cast<unsigned*>(params.kernelParams[1]), 5u);
}

TEST_F(Graph, NodesTellTheirType) {
  CUgraphNodeType type{};
  OK(cuGraphNodeGetType(add(fill(5)), &type));
  EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_KERNEL);
  CUgraphNode empty = nullptr;
  OK(cuGraphAddEmptyNode(&empty, graph_, nullptr, 0));
  OK(cuGraphNodeGetType(empty, &type));
  EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_EMPTY);
}

TEST_F(Graph, AnInstantiatedNodeTakesNewParameters) {
  CUgraphNode node = add(fill(5));
  EXPECT_EQ(run(), Words(1024, 5u));
  const CUDA_KERNEL_NODE_PARAMS changed = fill(8);
  OK(cuGraphExecKernelNodeSetParams(exec_, node, &changed));
  EXPECT_EQ(run(), Words(1024, 8u));
}

TEST_F(Graph, ChangingTheTemplateDoesNotChangeWhatIsInstantiated) {
  CUgraphNode node = add(fill(5));
  EXPECT_EQ(run(), Words(1024, 5u));
  const CUDA_KERNEL_NODE_PARAMS changed = fill(8);
  OK(cuGraphKernelNodeSetParams(node, &changed));
  EXPECT_EQ(run(), Words(1024, 5u));
}

TEST_F(Graph, RunsAfterItsTemplateIsDestroyed) {
  add(fill(5));
  OK(cuGraphInstantiate(&exec_, graph_, 0));
  OK(cuGraphDestroy(graph_));
  graph_ = nullptr;
  EXPECT_EQ(run(), Words(1024, 5u));
}

TEST_F(Graph, MemsetAndCopyNodesDoTheirWork) {
  const CUdeviceptr other = allocate(4096);
  CUDA_MEMSET_NODE_PARAMS set{};
  set.dst = other;
  set.value = 0x77;
  set.elementSize = 4;
  set.width = 1024;
  set.height = 1;
  CUgraphNode first = nullptr, second = nullptr;
  OK(cuGraphAddMemsetNode(&first, graph_, nullptr, 0, &set, context_));
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = other;
  copy.dstDevice = memory_;
  copy.WidthInBytes = 4096;
  copy.Height = copy.Depth = 1;
  OK(cuGraphAddMemcpyNode(&second, graph_, &first, 1, &copy, context_));
  EXPECT_EQ(run(), Words(1024, 0x77u));
}

TEST_F(Graph, ChildGraphsRunInside) {
  CUgraph child = nullptr;
  OK(cuGraphCreate(&child, 0));
  const CUDA_KERNEL_NODE_PARAMS params = fill(11);
  CUgraphNode inner = nullptr, node = nullptr;
  OK(cuGraphAddKernelNode(&inner, child, nullptr, 0, &params));
  OK(cuGraphAddChildGraphNode(&node, graph_, nullptr, 0, child));
  OK(cuGraphDestroy(child));  // cuda.h, cuGraphAddChildGraphNode: "The node executes a … clone"
  add(add_one(), {node});
  EXPECT_EQ(run(), Words(1024, 12u));
}

TEST_F(Graph, LaunchesOfOneGraphFollowEachOther) {
  // cuda.h, cuGraphLaunch: "Only one instance of hGraphExec may be executing at a time."
  OK(cuMemsetD32(memory_, 0, 1024));
  OK(cuCtxSynchronize());
  add(add_one());
  OK(cuGraphInstantiate(&exec_, graph_, 0));
  CUstream one = make_stream(), two = make_stream();
  for (int i = 0; i < 20; ++i) OK(cuGraphLaunch(exec_, i % 2 == 0 ? one : two));
  EXPECT_EQ(read(memory_, 1024), Words(1024, 20u));
}

TEST_F(Graph, ACloneIsAGraphOfItsOwn) {
  CUgraphNode node = add(fill(5));
  CUgraph clone = nullptr;
  OK(cuGraphClone(&clone, graph_));
  OK(cuGraphDestroyNode(node));
  OK(cuGraphInstantiate(&exec_, clone, 0));
  EXPECT_EQ(run(), Words(1024, 5u));
  OK(cuGraphDestroy(clone));
}

TEST_F(Graph, HostNodesRunAtEachLaunch) {
  int calls = 0;
  const CUDA_HOST_NODE_PARAMS params{[](void* data) { ++*static_cast<int*>(data); }, &calls};
  CUgraphNode node = nullptr;
  OK(cuGraphAddHostNode(&node, graph_, nullptr, 0, &params));
  run();
  run();
  EXPECT_EQ(calls, 2);
}

TEST_F(Graph, LaunchesFollowTheWorkOfTheirStream) {
  // cuda.h, cuGraphLaunch: "Each launch is ordered behind both any previous work in hStream and any
  // previous launches of hGraphExec"
  add(add_one());
  OK(cuGraphInstantiate(&exec_, graph_, 0));
  CUstream stream = make_stream();
  OK(launch(kernel("fill"), 1024, stream, memory_, 40u, 1024u));
  OK(cuGraphLaunch(exec_, stream));
  OK(launch(kernel("add_one"), 1024, stream, memory_, 1024u));
  EXPECT_EQ(read(memory_, 1024), Words(1024, 42u));
}

TEST_F(Graph, TheFirstVersionsOfKernelNodesDoTheSame) {
  void *add_function = nullptr, *get_function = nullptr;
  OK(cuGetProcAddress("cuGraphAddKernelNode", &add_function, 10000, 0, nullptr));
  OK(cuGetProcAddress("cuGraphKernelNodeGetParams", &get_function, 10000, 0, nullptr));
  const CUDA_KERNEL_NODE_PARAMS newer = fill(5);
  CUDA_KERNEL_NODE_PARAMS_v1 params{}, found{};
  params.func = newer.func;
  params.gridDimX = newer.gridDimX;
  params.blockDimX = newer.blockDimX;
  params.gridDimY = params.gridDimZ = params.blockDimY = params.blockDimZ = 1;
  params.kernelParams = newer.kernelParams;
  CUgraphNode node = nullptr;
  OK(reinterpret_cast<CUresult (*)(CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t,
                                   const CUDA_KERNEL_NODE_PARAMS_v1*)>(add_function)(
      &node, graph_, nullptr, 0, &params));
  OK(reinterpret_cast<CUresult (*)(CUgraphNode, CUDA_KERNEL_NODE_PARAMS_v1*)>(get_function)(
      node, &found));
  EXPECT_EQ(found.func, newer.func);
  EXPECT_EQ(found.gridDimX, 4u);
  EXPECT_EQ(run(), Words(1024, 5u));
}

}  // namespace
