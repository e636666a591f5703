// Conditional nodes: their bodies run by the value that the handle has.
#include "on_device.h"

using namespace conformance;

namespace {

class ConditionalNode : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    int version = 0;
    OK(cuDriverGetVersion(&version));
    if (version < 12040) GTEST_SKIP() << "conditional nodes came with 12.4";
    OK(cuGraphCreate(&graph_, 0));
    memory_ = allocate(4096);
    OK(cuMemsetD32(memory_, 0, 1024));
  }
  void TearDown() override {
    if (exec_ != nullptr) cuGraphExecDestroy(exec_);
    if (graph_ != nullptr) cuGraphDestroy(graph_);
    OnDevice::TearDown();
  }
  CUgraphConditionalHandle handle(unsigned initial) {
    CUgraphConditionalHandle made = 0;
    EXPECT_EQ(cuGraphConditionalHandleCreate(&made, graph_, context_, initial,
                                             CU_GRAPH_COND_ASSIGN_DEFAULT),
              CUDA_SUCCESS);
    return made;
  }
  // The bodies' graphs; none when the driver refuses.
  std::vector<CUgraph> add(CUgraphConditionalHandle by, CUgraphConditionalNodeType type,
                           unsigned size) {
    CUgraphNodeParams parameters{};
    parameters.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
    parameters.conditional.handle = by;
    parameters.conditional.type = type;
    parameters.conditional.size = size;
    parameters.conditional.ctx = context_;
    CUgraphNode node = nullptr;
    if (cuGraphAddNode(&node, graph_, nullptr, nullptr, 0, &parameters) != CUDA_SUCCESS) return {};
    const CUgraph* bodies = parameters.conditional.phGraph_out;
    return {bodies, bodies + size};
  }
  template <typename... Args>
  void add_kernel(CUgraph graph, const char* name, unsigned threads, Args... args) {
    void* parameters[] = {&args...};
    CUDA_KERNEL_NODE_PARAMS kernel_node{};
    kernel_node.func = kernel(name);
    kernel_node.gridDimX = kernel_node.gridDimY = kernel_node.gridDimZ = 1;
    kernel_node.blockDimX = threads;
    kernel_node.blockDimY = kernel_node.blockDimZ = 1;
    kernel_node.kernelParams = parameters;
    CUgraphNode node = nullptr;
    OK(cuGraphAddKernelNode(&node, graph, nullptr, 0, &kernel_node));
  }
  void fill(CUgraph graph, unsigned value) { add_kernel(graph, "fill", 16, memory_, value, 16u); }
  // The first word after a launch from zero.
  unsigned run() {
    if (exec_ == nullptr) {
      EXPECT_EQ(cuGraphInstantiate(&exec_, graph_, 0), CUDA_SUCCESS);
    }
    EXPECT_EQ(cuMemsetD32(memory_, 0, 16), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    EXPECT_EQ(cuGraphLaunch(exec_, nullptr), CUDA_SUCCESS);
    return read(memory_, 1)[0];
  }

  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  CUdeviceptr memory_ = 0;
};

TEST_F(ConditionalNode, IfRunsItsBodyWhenTheValueIsNotZero) {
  // cuda.h, CU_GRAPH_COND_TYPE_IF: "Body[0] executed if condition is non-zero."
  const auto yes = add(handle(7), CU_GRAPH_COND_TYPE_IF, 1);
  ASSERT_EQ(yes.size(), 1u);
  fill(yes[0], 5);
  EXPECT_EQ(run(), 5u);
}

TEST_F(ConditionalNode, IfRunsItsElseWhenTheValueIsZero) {
  // "If size == 2, an optional ELSE graph is created and this is executed if the condition is
  // zero."
  const auto bodies = add(handle(0), CU_GRAPH_COND_TYPE_IF, 2);
  ASSERT_EQ(bodies.size(), 2u);
  fill(bodies[0], 5);
  fill(bodies[1], 6);
  EXPECT_EQ(run(), 6u);
}

TEST_F(ConditionalNode, SwitchRunsTheBodyOfTheValue) {
  // CU_GRAPH_COND_TYPE_SWITCH: "Body[n] is executed once, where 'n' is the value of the condition."
  const auto bodies = add(handle(2), CU_GRAPH_COND_TYPE_SWITCH, 3);
  ASSERT_EQ(bodies.size(), 3u);
  for (unsigned i = 0; i < 3; ++i) fill(bodies[i], 10 + i);
  EXPECT_EQ(run(), 12u);
}

TEST_F(ConditionalNode, SwitchRunsNoneBeyondItsBodies) {
  // "If the condition does not match a body index, no body is launched."
  const auto bodies = add(handle(3), CU_GRAPH_COND_TYPE_SWITCH, 3);
  ASSERT_EQ(bodies.size(), 3u);
  for (unsigned i = 0; i < 3; ++i) fill(bodies[i], 10 + i);
  EXPECT_EQ(run(), 0u);
}

TEST_F(ConditionalNode, WhileRunsAsLongAsAKernelSetsTheCondition) {
  // CU_GRAPH_COND_TYPE_WHILE: "Body executed repeatedly while condition value is non-zero."
  // cuGraphConditionalHandleCreate: the default is "Applied at the beginning of each graph
  // execution", so that a second launch does the same.
  const CUgraphConditionalHandle by = handle(1);
  const auto body = add(by, CU_GRAPH_COND_TYPE_WHILE, 1);
  ASSERT_EQ(body.size(), 1u);
  const CUdeviceptr left = allocate(64);
  add_kernel(body[0], "count_down", 1, by, left);
  add_kernel(body[0], "add_one", 16, memory_, 16u);
  for (const unsigned times : {4u, 9u}) {
    OK(cuMemsetD32(left, times, 1));
    OK(cuCtxSynchronize());
    const unsigned ran = run();
    if (times == 4 && ran == 0) GTEST_SKIP() << "kernels here set no conditions: see kernels.cu";
    EXPECT_EQ(ran, times);
  }
}

TEST_F(ConditionalNode, BodiesHoldConditionalNodesToo) {
  const auto outer = add(handle(1), CU_GRAPH_COND_TYPE_IF, 1);
  ASSERT_EQ(outer.size(), 1u);
  const CUgraphConditionalHandle by = handle(1);
  const CUgraph whole = graph_;
  graph_ = outer[0];
  const auto inner = add(by, CU_GRAPH_COND_TYPE_SWITCH, 2);
  graph_ = whole;
  ASSERT_EQ(inner.size(), 2u);
  fill(inner[1], 8);
  EXPECT_EQ(run(), 8u);
}

TEST_F(ConditionalNode, TheSizeFitsTheType) {
  // CUDA_CONDITIONAL_NODE_PARAMS: "Allowed values are 1 for CU_GRAPH_COND_TYPE_WHILE, 1 or 2 for
  // CU_GRAPH_COND_TYPE_IF, or any value greater than zero for CU_GRAPH_COND_TYPE_SWITCH."
  EXPECT_TRUE(add(handle(0), CU_GRAPH_COND_TYPE_WHILE, 2).empty());
  EXPECT_TRUE(add(handle(0), CU_GRAPH_COND_TYPE_IF, 3).empty());
  EXPECT_TRUE(add(handle(0), CU_GRAPH_COND_TYPE_SWITCH, 0).empty());
}

TEST_F(ConditionalNode, ItsGraphIsNeitherClonedNorAChild) {
  // CU_GRAPH_NODE_TYPE_CONDITIONAL: "The graph cannot be used in a child node. … The graph cannot
  // be cloned."
  const auto body = add(handle(1), CU_GRAPH_COND_TYPE_IF, 1);
  ASSERT_EQ(body.size(), 1u);
  fill(body[0], 5);
  CUgraph other = nullptr;
  CUgraphNode node = nullptr;
  EXPECT_NE(cuGraphClone(&other, graph_), CUDA_SUCCESS);
  OK(cuGraphCreate(&other, 0));
  EXPECT_NE(cuGraphAddChildGraphNode(&node, other, nullptr, 0, graph_), CUDA_SUCCESS);
  OK(cuGraphDestroy(other));
}

TEST_F(ConditionalNode, ItsGraphHasOneInstanceAtATime) {
  // "Only one instantiation of the graph may exist at any point in time."
  const auto body = add(handle(1), CU_GRAPH_COND_TYPE_IF, 1);
  ASSERT_EQ(body.size(), 1u);
  fill(body[0], 5);
  EXPECT_EQ(run(), 5u);
  CUgraphExec second = nullptr;
  EXPECT_NE(cuGraphInstantiate(&second, graph_, 0), CUDA_SUCCESS);
  OK(cuGraphExecDestroy(exec_));
  exec_ = nullptr;
  EXPECT_EQ(run(), 5u);
}

TEST_F(ConditionalNode, NodesInABodyTakeNewParameters) {
  const auto body = add(handle(1), CU_GRAPH_COND_TYPE_IF, 1);
  ASSERT_EQ(body.size(), 1u);
  CUDA_MEMSET_NODE_PARAMS set{};
  set.dst = memory_;
  set.value = 5;
  set.elementSize = 4;
  set.width = 16;
  set.height = 1;
  CUgraphNode node = nullptr;
  OK(cuGraphAddMemsetNode(&node, body[0], nullptr, 0, &set, context_));
  EXPECT_EQ(run(), 5u);
  set.value = 6;
  OK(cuGraphExecMemsetNodeSetParams(exec_, node, &set, context_));
  EXPECT_EQ(run(), 6u);
}

}  // namespace
