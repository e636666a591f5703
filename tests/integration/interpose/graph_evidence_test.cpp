// What a graph's launch is counted to read in place follows every change of its nodes. Regions of
// different sizes, all in host memory, tell by the sum which of them were named.
#include "frozen_memory.h"

namespace {

class GraphEvidence : public FrozenMemory {
 protected:
  GraphEvidence() {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      EXPECT_CUDA(cuMemAlloc(&memory_[i], size_of(i)));
      EXPECT_EQ(counted([&] { fill(memory_[i], 4096, 0); }), size_of(i)) << "is not in host memory";
    }
    EXPECT_CUDA(cuGraphCreate(&graph_, 0));
  }
  ~GraphEvidence() override {
    EXPECT_CUDA(cuGraphExecDestroy(exec_));
    EXPECT_CUDA(cuGraphDestroy(graph_));
    for (CUdeviceptr one : memory_) EXPECT_CUDA(cuMemFree(one));
  }
  static std::size_t size_of(std::size_t index) { return chunk << index; }

  // A kernel that fills the start of a region. The parameters live in the fixture.
  CUDA_KERNEL_NODE_PARAMS kernel(std::size_t index) {
    words_ = memory_[index];
    CUDA_KERNEL_NODE_PARAMS made{};
    made.func = fill_;
    made.gridDimX = made.gridDimY = made.gridDimZ = 1;
    made.blockDimX = made.blockDimY = made.blockDimZ = 1;
    made.kernelParams = parameters_;
    return made;
  }
  CUDA_MEMSET_NODE_PARAMS set(std::size_t index) const {
    CUDA_MEMSET_NODE_PARAMS made{};
    made.dst = memory_[index];
    made.elementSize = made.height = 1;
    made.width = 64;
    return made;
  }
  CUDA_MEMCPY3D copy(std::size_t to, std::size_t from) const {
    CUDA_MEMCPY3D made{};
    made.srcMemoryType = made.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    made.dstDevice = memory_[to];
    made.srcDevice = memory_[from];
    made.WidthInBytes = 64;
    made.Height = made.Depth = 1;
    return made;
  }
  CUDA_BATCH_MEM_OP_NODE_PARAMS write(std::size_t index) {
    operation_ = {};
    operation_.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
    operation_.writeValue.address = memory_[index];
    return {context_, 1, &operation_, 0};
  }
  CUgraphNode add_kernel(CUgraph graph, std::size_t index) {
    const CUDA_KERNEL_NODE_PARAMS made = kernel(index);
    CUgraphNode node = nullptr;
    EXPECT_CUDA(cuGraphAddKernelNode(&node, graph, nullptr, 0, &made));
    return node;
  }
  void instantiate() { EXPECT_CUDA(cuGraphInstantiate(&exec_, graph_, 0)); }
  // Which regions a launch names, by their numbers.
  std::vector<std::size_t> named() {
    std::uint64_t sum = counted([&] { EXPECT_CUDA(cuGraphLaunch(exec_, stream_)); });
    std::vector<std::size_t> regions;
    for (std::size_t i = memory_.size(); i-- > 0;) {
      if (sum < size_of(i)) continue;
      sum -= size_of(i);
      regions.insert(regions.begin(), i);
    }
    EXPECT_EQ(sum, 0u);
    return regions;
  }

  using Regions = std::vector<std::size_t>;
  std::vector<CUdeviceptr> memory_ = std::vector<CUdeviceptr>(4);
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  CUdeviceptr words_ = 0;
  std::uint64_t count_ = 16;
  std::uint32_t seed_ = 1;
  void* parameters_[3] = {&words_, &count_, &seed_};
  CUstreamBatchMemOpParams operation_{};
};

TEST_F(GraphEvidence, KernelNodes) {
  const CUgraphNode node = add_kernel(graph_, 0);
  add_kernel(graph_, 3);
  instantiate();
  EXPECT_EQ(named(), (Regions{0, 3}));
  const CUDA_KERNEL_NODE_PARAMS changed = kernel(1);
  ASSERT_CUDA(cuGraphExecKernelNodeSetParams(exec_, node, &changed));
  EXPECT_EQ(named(), (Regions{1, 3}));
  // Packed arguments.
  struct {
    CUdeviceptr words;
    std::uint64_t count;
    std::uint32_t seed;
  } packed{memory_[2], 16, 1};
  std::size_t size = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  CUDA_KERNEL_NODE_PARAMS with_extra = kernel(1);
  with_extra.kernelParams = nullptr;
  with_extra.extra = extra;
  ASSERT_CUDA(cuGraphExecKernelNodeSetParams(exec_, node, &with_extra));
  EXPECT_EQ(named(), (Regions{2, 3}));
}

TEST_F(GraphEvidence, CopyAndSetNodes) {
  const CUDA_MEMCPY3D copied = copy(0, 1);
  const CUDA_MEMSET_NODE_PARAMS filled = set(2);
  CUgraphNode copy_node = nullptr, set_node = nullptr;
  ASSERT_CUDA(cuGraphAddMemcpyNode(&copy_node, graph_, nullptr, 0, &copied, context_));
  ASSERT_CUDA(cuGraphAddMemsetNode(&set_node, graph_, nullptr, 0, &filled, context_));
  instantiate();
  EXPECT_EQ(named(), (Regions{0, 1, 2}));
  const CUDA_MEMCPY3D other_copy = copy(0, 3);
  ASSERT_CUDA(cuGraphExecMemcpyNodeSetParams(exec_, copy_node, &other_copy, context_));
  EXPECT_EQ(named(), (Regions{0, 2, 3}));
  const CUDA_MEMSET_NODE_PARAMS other_set = set(1);
  ASSERT_CUDA(cuGraphExecMemsetNodeSetParams(exec_, set_node, &other_set, context_));
  EXPECT_EQ(named(), (Regions{0, 1, 3}));
}

TEST_F(GraphEvidence, MemoryOperationNodes) {
  const CUDA_BATCH_MEM_OP_NODE_PARAMS first = write(2);
  CUgraphNode node = nullptr;
  ASSERT_CUDA(cuGraphAddBatchMemOpNode(&node, graph_, nullptr, 0, &first));
  instantiate();
  EXPECT_EQ(named(), Regions{2});
  const CUDA_BATCH_MEM_OP_NODE_PARAMS second = write(0);
  ASSERT_CUDA(cuGraphExecBatchMemOpNodeSetParams(exec_, node, &second));
  EXPECT_EQ(named(), Regions{0});
}

TEST_F(GraphEvidence, NodesOfAnyType) {
  const CUgraphNode kernel_node = add_kernel(graph_, 0);
  CUgraphNode set_node = nullptr;
  CUgraphNodeParams given{};
  given.type = CU_GRAPH_NODE_TYPE_MEMSET;
  given.memset = {memory_[1], 0, 0, 1, 64, 1, context_};
  ASSERT_CUDA(cuGraphAddNode(&set_node, graph_, nullptr, nullptr, 0, &given));
  instantiate();
  EXPECT_EQ(named(), (Regions{0, 1}));
  given.memset.dst = memory_[2];
  ASSERT_CUDA(cuGraphExecNodeSetParams(exec_, set_node, &given));
  EXPECT_EQ(named(), (Regions{0, 2}));
  const CUDA_KERNEL_NODE_PARAMS changed = kernel(3);
  given = {};
  given.type = CU_GRAPH_NODE_TYPE_KERNEL;
  given.kernel.func = changed.func;
  given.kernel.gridDimX = given.kernel.gridDimY = given.kernel.gridDimZ = 1;
  given.kernel.blockDimX = given.kernel.blockDimY = given.kernel.blockDimZ = 1;
  given.kernel.kernelParams = parameters_;
  ASSERT_CUDA(cuGraphExecNodeSetParams(exec_, kernel_node, &given));
  EXPECT_EQ(named(), (Regions{2, 3}));
}

TEST_F(GraphEvidence, DisabledNodes) {
  const CUgraphNode node = add_kernel(graph_, 0);
  add_kernel(graph_, 1);
  instantiate();
  EXPECT_EQ(named(), (Regions{0, 1}));
  ASSERT_CUDA(cuGraphNodeSetEnabled(exec_, node, 0));
  EXPECT_EQ(named(), Regions{1});
  ASSERT_CUDA(cuGraphNodeSetEnabled(exec_, node, 1));
  EXPECT_EQ(named(), (Regions{0, 1}));
}

TEST_F(GraphEvidence, ChildGraphs) {
  CUgraph child = nullptr, other = nullptr;
  ASSERT_CUDA(cuGraphCreate(&child, 0));
  ASSERT_CUDA(cuGraphCreate(&other, 0));
  add_kernel(child, 0);
  add_kernel(other, 1);
  add_kernel(graph_, 3);
  CUgraphNode node = nullptr;
  ASSERT_CUDA(cuGraphAddChildGraphNode(&node, graph_, nullptr, 0, child));
  instantiate();
  EXPECT_EQ(named(), (Regions{0, 3}));
  ASSERT_CUDA(cuGraphExecChildGraphNodeSetParams(exec_, node, other));
  EXPECT_EQ(named(), (Regions{1, 3}));
  ASSERT_CUDA(cuGraphDestroy(child));
  ASSERT_CUDA(cuGraphDestroy(other));
}

TEST_F(GraphEvidence, BodiesOfConditionalNodes) {
  CUgraphConditionalHandle handle = 0;
  ASSERT_CUDA(
      cuGraphConditionalHandleCreate(&handle, graph_, context_, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
  CUgraphNodeParams given{};
  given.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  given.conditional.handle = handle;
  given.conditional.type = CU_GRAPH_COND_TYPE_IF;
  given.conditional.size = 2;
  given.conditional.ctx = context_;
  CUgraphNode conditional = nullptr;
  ASSERT_CUDA(cuGraphAddNode(&conditional, graph_, nullptr, nullptr, 0, &given));
  const CUgraphNode node = add_kernel(given.conditional.phGraph_out[0], 1);
  add_kernel(given.conditional.phGraph_out[1], 2);
  instantiate();
  // Which of them runs, nobody knows before.
  EXPECT_EQ(named(), (Regions{1, 2}));
  const CUDA_KERNEL_NODE_PARAMS changed = kernel(0);
  ASSERT_CUDA(cuGraphExecKernelNodeSetParams(exec_, node, &changed));
  EXPECT_EQ(named(), (Regions{0, 2}));
}

TEST_F(GraphEvidence, ClonesAndUpdates) {
  const CUgraphNode node = add_kernel(graph_, 0);
  instantiate();
  CUgraph clone = nullptr;
  CUgraphNode cloned = nullptr;
  ASSERT_CUDA(cuGraphClone(&clone, graph_));
  ASSERT_CUDA(cuGraphNodeFindInClone(&cloned, node, clone));
  const CUDA_KERNEL_NODE_PARAMS changed = kernel(2);
  ASSERT_CUDA(cuGraphKernelNodeSetParams(cloned, &changed));
  EXPECT_EQ(named(), Regions{0});
  CUgraphExecUpdateResultInfo outcome{};
  ASSERT_CUDA(cuGraphExecUpdate(exec_, clone, &outcome));
  EXPECT_EQ(named(), Regions{2});
  ASSERT_CUDA(cuGraphDestroy(clone));
}

}  // namespace
