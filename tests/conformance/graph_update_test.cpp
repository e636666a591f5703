// Instantiated graphs changed: by another graph, and node by node; and clones of graphs.
#include <algorithm>
#include <utility>

#include "filling_graph.h"

using namespace conformance;

namespace {

using GraphUpdate = FillingGraph;

TEST_F(GraphUpdate, TakesTheParametersOfAnIdenticalGraph) {
  // cuda.h, cuGraphExecUpdate: "Updates the node parameters in the instantiated graph … with the
  // node parameters in a topologically identical graph"
  add_fill(graph_, 5);
  instantiate();
  EXPECT_EQ(run(), Words(1024, 5u));
  CUgraph other = make_graph();
  add_fill(other, 6);
  CUgraphExecUpdateResultInfo info{CU_GRAPH_EXEC_UPDATE_ERROR, nullptr, nullptr};
  OK(cuGraphExecUpdate(exec_, other, &info));
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
  EXPECT_EQ(run(), Words(1024, 6u));
}

TEST_F(GraphUpdate, IsNotSeenByLaunchesBefore) {
  // cuda.h, cuGraphExecKernelNodeSetParams: "Already enqueued or running launches of hGraphExec are
  // not affected by this call."
  CUgraphNode node = add_fill(graph_, 5);
  instantiate();
  Blocker blocker(kernel("wait_for_flag"), stream_);
  OK(blocker.launched());
  OK(cuGraphLaunch(exec_, stream_));
  const CUDA_KERNEL_NODE_PARAMS changed = fill(6);
  OK(cuGraphExecKernelNodeSetParams(exec_, node, &changed));
  blocker.release();
  EXPECT_EQ(read(memory_, 1024), Words(1024, 5u));
  EXPECT_EQ(run(), Words(1024, 6u));
}

TEST_F(GraphUpdate, RefusesAnotherCountOfNodes) {
  // cuda.h, cuGraphExecUpdate: "The count of nodes directly in hGraphExec and hGraph differ, in
  // which case resultInfo->errorNode is set to NULL." "It returns
  // CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE if the graph update was not performed"
  add_fill(graph_, 5);
  instantiate();
  CUgraph other = make_graph();
  add_fill(other, 6, {add_fill(other, 6)});
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(cuGraphExecUpdate(exec_, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  EXPECT_EQ(info.errorNode, nullptr);
  EXPECT_EQ(run(), Words(1024, 5u));
}

TEST_F(GraphUpdate, RefusesOtherDependencies) {
  // cuda.h: "A node in hGraph has a different number of dependencies than the node from hGraphExec
  // it is paired with"
  add_fill(graph_, 5);
  add_fill(graph_, 5);
  instantiate();
  CUgraph other = make_graph();
  add_fill(other, 6, {add_fill(other, 6)});
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(cuGraphExecUpdate(exec_, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
}

TEST_F(GraphUpdate, PairsNodesByTheirEdgesNotByWhenTheyWereAdded) {
  // cuda.h: "The dependencies are paired based on edge order"
  const auto join_halves = [&](CUgraph graph, unsigned low, unsigned high, bool high_first) {
    CUDA_MEMSET_NODE_PARAMS params[] = {set(low, 512), set(high, 512)};
    params[1].dst += 2048;
    CUgraphNode nodes[2] = {}, joined = nullptr;
    nodes[high_first] = add_set(graph, params[high_first]);
    nodes[!high_first] = add_set(graph, params[!high_first]);
    EXPECT_EQ(cuGraphAddEmptyNode(&joined, graph, nodes, 2), CUDA_SUCCESS);
  };
  join_halves(graph_, 5, 6, false);
  instantiate();
  CUgraph other = make_graph();
  join_halves(other, 7, 8, true);
  CUgraphExecUpdateResultInfo info{};
  OK(cuGraphExecUpdate(exec_, other, &info));
  Words expected(1024, 8u);
  std::fill_n(expected.begin(), 512, 7u);
  EXPECT_EQ(run(), expected);
}

TEST_F(GraphUpdate, RefusesADependencyThatIsPairedOtherwise) {
  // cuda.h: "A node in hGraph has a dependency that does not match with the corresponding
  // dependency of the paired node from hGraphExec. resultInfo->errorNode will be set to the node
  // from hGraph. resultInfo->errorFromNode will be set to the mismatched dependency."
  const auto diamond = [&](CUgraph graph, bool crossed) {
    const CUgraphNode root = add_fill(graph, 5), other_root = add_fill(graph, 5);
    add_fill(graph, 5, {root, other_root});
    const CUgraphNode first = crossed ? other_root : root, second = crossed ? root : other_root;
    return std::pair(add_fill(graph, 5, {first, second}), first);
  };
  diamond(graph_, false);
  instantiate();
  CUgraph other = make_graph();
  const auto [node, from] = diamond(other, true);
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(cuGraphExecUpdate(exec_, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  EXPECT_EQ(info.errorNode, node);
  EXPECT_EQ(info.errorFromNode, from);
}

TEST_F(GraphUpdate, RefusesMoreExitNodes) {
  // cuda.h: "more exit nodes …, in which case resultInfo->errorNode is set to one of the exit nodes
  // in hGraph."
  add_fill(graph_, 5, {add_fill(graph_, 5)});
  instantiate();
  CUgraph other = make_graph();
  const CUgraphNode nodes[] = {add_fill(other, 6), add_fill(other, 6)};
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(cuGraphExecUpdate(exec_, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  EXPECT_TRUE(info.errorNode == nodes[0] || info.errorNode == nodes[1]);
}

TEST_F(GraphUpdate, RefusesAnotherTypeOfNode) {
  // cuda.h: "CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED if the type of a node changed, in which
  // case hErrorNode_out is set to the node from hGraph."
  add_fill(graph_, 5);
  instantiate();
  CUgraph other = make_graph();
  CUgraphNode node = add_set(other, set(6, 1024));
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(cuGraphExecUpdate(exec_, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
  EXPECT_EQ(info.errorNode, node);
}

TEST_F(GraphUpdate, RefusesOtherDimensionsOfA2DMemset) {
  // cuda.h: "For 2d memsets, only address and assigned value may be updated."
  add_set(graph_, set(5, 16, 2));
  instantiate();
  CUgraph other = make_graph();
  CUgraphNode node = add_set(other, set(5, 16, 4));
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(cuGraphExecUpdate(exec_, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED);
  EXPECT_EQ(info.errorNode, node);
}

TEST_F(GraphUpdate, TheFirstVersionTellsTheSame) {
  void* function = nullptr;
  OK(cuGetProcAddress("cuGraphExecUpdate", &function, 10020, 0, nullptr));
  const auto update =
      reinterpret_cast<CUresult (*)(CUgraphExec, CUgraph, CUgraphNode*, CUgraphExecUpdateResult*)>(
          function);
  add_fill(graph_, 5);
  instantiate();
  CUgraph same = make_graph(), different = make_graph();
  add_fill(same, 6);
  CUgraphNode node = add_set(different, set(6, 1024)), error_node = nullptr;
  CUgraphExecUpdateResult result{};
  EXPECT_EQ(update(exec_, different, &error_node, &result), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(result, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
  EXPECT_EQ(error_node, node);
  OK(update(exec_, same, &error_node, &result));
  EXPECT_EQ(result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
  EXPECT_EQ(run(), Words(1024, 6u));
}

TEST_F(GraphUpdate, ReachesIntoChildGraphs) {
  CUgraphNode node = nullptr;
  CUgraph child = make_graph();
  add_fill(child, 5);
  OK(cuGraphAddChildGraphNode(&node, graph_, nullptr, 0, child));
  instantiate();
  CUgraph other = make_graph();
  add_fill(other, 7);
  OK(cuGraphExecChildGraphNodeSetParams(exec_, node, other));
  EXPECT_EQ(run(), Words(1024, 7u));
}

TEST_F(GraphUpdate, MemsetNodesTakeValuesNotDimensions) {
  // cuda.h, cuGraphExecMemsetNodeSetParams: "Both the value and pointer address may be updated."
  // and "For 1d memsets, changes in height are explicitly rejected". "Zero sized operations are not
  // supported."
  CUgraphNode node = add_set(graph_, set(5, 1024));
  instantiate();
  CUDA_MEMSET_NODE_PARAMS changed = set(6, 1024);
  OK(cuGraphExecMemsetNodeSetParams(exec_, node, &changed, context_));
  EXPECT_EQ(run(), Words(1024, 6u));
  changed = set(7, 16, 2);
  EXPECT_EQ(cuGraphExecMemsetNodeSetParams(exec_, node, &changed, context_),
            CUDA_ERROR_INVALID_VALUE);
  changed = set(7, 0);
  EXPECT_EQ(cuGraphExecMemsetNodeSetParams(exec_, node, &changed, context_),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GraphUpdate, CopyNodesMustBeOneDimensional) {
  // cuda.h, cuGraphExecMemcpyNodeSetParams: "Returns CUDA_ERROR_INVALID_VALUE if … either the
  // original or new memory operands are multidimensional."
  const CUdeviceptr fives = allocate(4096), sixes = allocate(4096);
  OK(cuMemsetD32(fives, 5, 1024));
  OK(cuMemsetD32(sixes, 6, 1024));
  OK(cuCtxSynchronize());
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = fives;
  copy.dstDevice = memory_;
  copy.WidthInBytes = 4096;
  copy.Height = copy.Depth = 1;
  CUgraphNode node = nullptr;
  OK(cuGraphAddMemcpyNode(&node, graph_, nullptr, 0, &copy, context_));
  instantiate();
  EXPECT_EQ(run(), Words(1024, 5u));
  copy.srcDevice = sixes;
  OK(cuGraphExecMemcpyNodeSetParams(exec_, node, &copy, context_));
  EXPECT_EQ(run(), Words(1024, 6u));
  copy.WidthInBytes = copy.srcPitch = copy.dstPitch = 2048;
  copy.Height = 2;
  EXPECT_EQ(cuGraphExecMemcpyNodeSetParams(exec_, node, &copy, context_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GraphUpdate, HostNodesTakeAnotherFunction) {
  int calls = 0;
  CUDA_HOST_NODE_PARAMS params{[](void* data) { *static_cast<int*>(data) += 1; }, &calls};
  CUgraphNode node = nullptr;
  OK(cuGraphAddHostNode(&node, graph_, nullptr, 0, &params));
  instantiate();
  params.fn = [](void* data) { *static_cast<int*>(data) += 100; };
  OK(cuGraphExecHostNodeSetParams(exec_, node, &params));
  run();
  EXPECT_EQ(calls, 100);
}

TEST_F(GraphUpdate, ADisabledNodeDoesNothing) {
  // cuda.h, cuGraphNodeSetEnabled: "Disabled nodes are functionally equivalent to empty nodes until
  // they are reenabled."
  CUgraphNode first = add_fill(graph_, 5), second = add_fill(graph_, 6, {first});
  instantiate();
  OK(cuGraphNodeSetEnabled(exec_, second, 0));
  unsigned enabled = 1;
  OK(cuGraphNodeGetEnabled(exec_, second, &enabled));
  EXPECT_EQ(enabled, 0u);
  EXPECT_EQ(run(), Words(1024, 5u));
  OK(cuGraphNodeSetEnabled(exec_, second, 1));
  EXPECT_EQ(run(), Words(1024, 6u));
}

TEST_F(GraphUpdate, TemplatesTakeParametersForLaterInstantiation) {
  CUgraphNode node = add_set(graph_, set(5, 1024));
  const CUDA_MEMSET_NODE_PARAMS changed = set(9, 1024);
  OK(cuGraphMemsetNodeSetParams(node, &changed));
  instantiate();
  EXPECT_EQ(run(), Words(1024, 9u));
}

TEST_F(GraphUpdate, ANodesCloneIsFoundInTheClone) {
  // cuda.h, cuGraphNodeFindInClone: "returns the node in hClonedGraph corresponding to
  // hOriginalNode in the original graph"
  CUgraphNode first = add_fill(graph_, 5), second = add_fill(graph_, 6, {first}), found = nullptr;
  CUgraph clone = nullptr;
  OK(cuGraphClone(&clone, graph_));
  graphs_.push_back(clone);
  OK(cuGraphNodeFindInClone(&found, second, clone));
  EXPECT_NE(found, second);
  CUgraphNode before = nullptr, first_clone = nullptr;
  OK(cuGraphNodeFindInClone(&first_clone, first, clone));
  void* function = nullptr;
  OK(cuGetProcAddress("cuGraphNodeGetDependencies", &function, 10000, 0, nullptr));
  std::size_t count = 1;
  OK(reinterpret_cast<CUresult (*)(CUgraphNode, CUgraphNode*, std::size_t*)>(function)(
      found, &before, &count));
  EXPECT_EQ(before, first_clone);
  OK(cuGraphDestroyNode(found));
  EXPECT_EQ(cuGraphNodeFindInClone(&found, second, clone), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GraphUpdate, DestroyingOneInFlightLetsItRun) {
  // cuda.h, cuGraphExecDestroy: "If the executable graph is in-flight, it will not be terminated,
  // but rather freed asynchronously on completion."
  add_fill(graph_, 5);
  instantiate();
  {
    Blocker blocker(kernel("wait_for_flag"), stream_);
    OK(blocker.launched());
    OK(cuGraphLaunch(exec_, stream_));
    OK(cuGraphExecDestroy(exec_));
    exec_ = nullptr;
  }
  EXPECT_EQ(read(memory_, 1024), Words(1024, 5u));
}

TEST_F(GraphUpdate, ALaunchCapturedIsAChildGraph) {
  add_fill(graph_, 5);
  instantiate();
  OK(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuGraphLaunch(exec_, stream_));
  CUgraph outer = nullptr;
  OK(cuStreamEndCapture(stream_, &outer));
  graphs_.push_back(outer);
  CUgraphNode node = nullptr;
  std::size_t count = 1;
  OK(cuGraphGetNodes(outer, &node, &count));
  CUgraphNodeType type{};
  OK(cuGraphNodeGetType(node, &type));
  EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_GRAPH);
  OK(cuGraphExecDestroy(exec_));
  OK(cuGraphInstantiate(&exec_, outer, 0));
  EXPECT_EQ(run(), Words(1024, 5u));
}

TEST_F(GraphUpdate, CaptureMayGoOnInAnExistingGraph) {
  // cuda.h, cuStreamBeginCaptureToGraph: "Begin graph capture on hStream, placing new nodes into an
  // existing graph." "dependencies: Dependencies of the first node captured in the stream."
  CUgraphNode first = add_fill(graph_, 5);
  add_fill(graph_, 5);  // leads nowhere, and was there before
  OK(cuStreamBeginCaptureToGraph(stream_, graph_, &first, nullptr, 1,
                                 CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(launch(kernel("fill"), 1024, stream_, memory_, 8u, 1024u));
  // "The graph will not be instantiable until the user calls cuStreamEndCapture."
  CUgraphExec early = nullptr;
  EXPECT_NE(cuGraphInstantiate(&early, graph_, 0), CUDA_SUCCESS);
  CUgraph captured = nullptr;
  OK(cuStreamEndCapture(stream_, &captured));
  EXPECT_EQ(captured, graph_);
  std::size_t count = 0;
  OK(cuGraphGetNodes(graph_, nullptr, &count));
  EXPECT_EQ(count, 3u);
  instantiate();
}

}  // namespace
