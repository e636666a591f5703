// Nodes by CUgraphNodeParams, whatever their type, and nodes of batched memory operations.
#include "on_device.h"

using namespace conformance;

namespace {

class NodeParameters : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    OK(cuGraphCreate(&graph_, 0));
    memory_ = allocate(4096);
    OK(cuMemsetD32(memory_, 0, 1024));
  }
  void TearDown() override {
    if (exec_ != nullptr) cuGraphExecDestroy(exec_);
    if (graph_ != nullptr) cuGraphDestroy(graph_);
    OnDevice::TearDown();
  }
  // The last three live in the fixture as long as the call that takes them.
  CUgraphNodeParams fill(unsigned value) {
    value_ = value;
    CUgraphNodeParams given{};
    given.type = CU_GRAPH_NODE_TYPE_KERNEL;
    given.kernel.func = kernel("fill");
    given.kernel.gridDimX = given.kernel.gridDimY = given.kernel.gridDimZ = 1;
    given.kernel.blockDimX = 256;
    given.kernel.blockDimY = given.kernel.blockDimZ = 1;
    given.kernel.kernelParams = arguments_;
    return given;
  }
  CUgraphNodeParams set(CUdeviceptr where, unsigned value) {
    CUgraphNodeParams given{};
    given.type = CU_GRAPH_NODE_TYPE_MEMSET;
    given.memset.dst = where;
    given.memset.value = value;
    given.memset.elementSize = 4;
    given.memset.width = 256;
    given.memset.height = 1;
    given.memset.ctx = context_;
    return given;
  }
  CUgraphNodeParams write(CUdeviceptr where, unsigned value) {
    operation_ = {};
    operation_.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
    operation_.writeValue.address = where;
    operation_.writeValue.value = value;
    CUgraphNodeParams given{};
    given.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP;
    given.memOp.ctx = context_;
    given.memOp.count = 1;
    given.memOp.paramArray = &operation_;
    return given;
  }
  CUgraphNode add(CUgraphNodeParams given, std::vector<CUgraphNode> after = {}) {
    CUgraphNode node = nullptr;
    EXPECT_EQ(cuGraphAddNode(&node, graph_, after.data(), nullptr, after.size(), &given),
              CUDA_SUCCESS);
    return node;
  }
  CUresult change(CUgraphNode node, CUgraphNodeParams given) {
    return cuGraphExecNodeSetParams(exec_, node, &given);
  }
  unsigned run() {
    if (exec_ == nullptr) {
      EXPECT_EQ(cuGraphInstantiate(&exec_, graph_, 0), CUDA_SUCCESS);
    }
    EXPECT_EQ(cuGraphLaunch(exec_, nullptr), CUDA_SUCCESS);
    return read(memory_, 1)[0];
  }

  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
  CUdeviceptr memory_ = 0;
  unsigned value_ = 0, count_ = 256;
  CUstreamBatchMemOpParams operation_{};
  void* arguments_[3] = {&memory_, &value_, &count_};
};

TEST_F(NodeParameters, NodesOfEachTypeAreAddedAndFollowTheirEdges) {
  const CUgraphNode first = add(fill(1));
  const CUgraphNode second = add(set(memory_, 2), {first});
  const CUgraphNode third = add(write(memory_, 3), {second});
  CUgraphNodeType type{};
  OK(cuGraphNodeGetType(third, &type));
  EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
  EXPECT_EQ(run(), 3u);
  EXPECT_EQ(read(memory_, 2)[1], 2u);
}

TEST_F(NodeParameters, AnInstantiatedNodeTakesNewOnes) {
  // cuda.h, cuGraphExecNodeSetParams: "The modifications only affect future launches of hGraphExec.
  // … hNode is also not modified by this call."
  const CUgraphNode kernel_node = add(fill(1));
  const CUgraphNode set_node = add(set(memory_ + 1024, 2), {kernel_node});
  EXPECT_EQ(run(), 1u);
  OK(change(kernel_node, fill(4)));
  OK(change(set_node, set(memory_ + 2048, 5)));
  EXPECT_EQ(run(), 4u);
  EXPECT_EQ(read(memory_ + 2048, 1)[0], 5u);
  CUDA_MEMSET_NODE_PARAMS unchanged{};
  OK(cuGraphMemsetNodeGetParams(set_node, &unchanged));
  EXPECT_EQ(unchanged.dst, memory_ + 1024);
}

TEST_F(NodeParameters, ATemplatesNodeTakesNewOnes) {
  const CUgraphNode node = add(fill(1));
  CUgraphNodeParams given = fill(6);
  OK(cuGraphNodeSetParams(node, &given));
  EXPECT_EQ(run(), 6u);
}

TEST_F(NodeParameters, TheTypeIsTheNodes) {
  // "The node type specified by nodeParams->type must match the type of hNode."
  const CUgraphNode node = add(fill(1));
  EXPECT_EQ(run(), 1u);
  EXPECT_NE(change(node, set(memory_, 2)), CUDA_SUCCESS);
}

TEST_F(NodeParameters, AnEdgeBetweenWholeNodesMayBeDescribed) {
  const CUgraphNode first = add(fill(1));
  CUgraphNode second = nullptr;
  const CUgraphEdgeData whole{};
  CUgraphNodeParams given = set(memory_, 2);
  OK(cuGraphAddNode(&second, graph_, &first, &whole, 1, &given));
  EXPECT_EQ(run(), 2u);
}

TEST_F(NodeParameters, MemoryOperationsAreCopiedWhenANodeIsAdded) {
  // cuda.h, cuGraphAddBatchMemOpNode: "the paramArray inside nodeParams is copied and therefore it
  // can be freed after the call returns."
  const CUgraphNode node = add(write(memory_, 3));
  operation_.writeValue.value = 4;
  EXPECT_EQ(run(), 3u);
  CUDA_BATCH_MEM_OP_NODE_PARAMS told{};
  OK(cuGraphBatchMemOpNodeGetParams(node, &told));
  ASSERT_EQ(told.count, 1u);
  EXPECT_EQ(told.paramArray[0].writeValue.address, memory_);
  EXPECT_EQ(told.paramArray[0].writeValue.value, 3u);
}

TEST_F(NodeParameters, AnInstantiatedMemoryOperationMovesButKeepsItsKind) {
  // cuda.h, cuGraphExecBatchMemOpNodeSetParams: "Other fields, such as the context, count or type
  // of operations … may not be modified."
  const CUgraphNode node = add(write(memory_, 3));
  EXPECT_EQ(run(), 3u);
  (void)write(memory_ + 64, 7);
  CUDA_BATCH_MEM_OP_NODE_PARAMS given{};
  given.ctx = context_;
  given.count = 1;
  given.paramArray = &operation_;
  OK(cuGraphExecBatchMemOpNodeSetParams(exec_, node, &given));
  EXPECT_EQ(run(), 3u);
  EXPECT_EQ(read(memory_ + 64, 1)[0], 7u);
  operation_.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
  EXPECT_NE(cuGraphExecBatchMemOpNodeSetParams(exec_, node, &given), CUDA_SUCCESS);
}

}  // namespace
