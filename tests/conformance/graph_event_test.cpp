// Nodes of graphs that record events and wait for them.
#include <chrono>
#include <thread>

#include "filling_graph.h"

using namespace conformance;

namespace {

class GraphEvent : public FillingGraph {
 protected:
  void SetUp() override {
    FillingGraph::SetUp();
    OK(cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING));
  }
  void TearDown() override {
    FillingGraph::TearDown();
    cuEventDestroy(event_);
  }
  CUevent event_ = nullptr;
};

TEST_F(GraphEvent, ARecordNodeRecordsWhatItDependsOn) {
  // cuda.h, cuGraphAddEventRecordNode: "Each launch of the graph will record event to capture
  // execution of the node's dependencies."
  CUgraphNode first = add_fill(graph_, 5), record = nullptr;
  OK(cuGraphAddEventRecordNode(&record, graph_, &first, 1, event_));
  CUevent given = nullptr;
  OK(cuGraphEventRecordNodeGetEvent(record, &given));
  EXPECT_EQ(given, event_);
  instantiate();
  CUstream other = make_stream();
  Blocker blocker(kernel("wait_for_flag"), stream_);
  OK(blocker.launched());
  OK(cuGraphLaunch(exec_, stream_));
  OK(cuStreamWaitEvent(other, event_, 0));
  OK(launch(kernel("add_one"), 1024, other, memory_, 1024u));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
  blocker.release();
  EXPECT_EQ(read(memory_, 1024), Words(1024, 6u));
}

TEST_F(GraphEvent, AWaitNodeWaitsForWorkOutsideTheGraph) {
  // cuda.h, cuGraphAddEventWaitNode: "The graph node will wait for all work captured in event."
  CUgraphNode wait = nullptr;
  OK(cuGraphAddEventWaitNode(&wait, graph_, nullptr, 0, event_));
  add_fill(graph_, 5, {wait});
  instantiate();
  CUstream other = make_stream();
  OK(cuMemsetD32(memory_, 1, 1024));
  OK(cuCtxSynchronize());
  Blocker blocker(kernel("wait_for_flag"), other);
  OK(blocker.launched());
  OK(cuEventRecord(event_, other));
  OK(cuGraphLaunch(exec_, stream_));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_ERROR_NOT_READY);
  blocker.release();
  EXPECT_EQ(read(memory_, 1024), Words(1024, 5u));
}

TEST_F(GraphEvent, CapturedAsExternalOnesBecomeNodes) {
  // cuda.h, CU_EVENT_RECORD_EXTERNAL: "When using stream capture, create an event record node
  // instead of the default behavior. This flag is invalid when used outside of capture."
  EXPECT_EQ(cuEventRecordWithFlags(event_, stream_, CU_EVENT_RECORD_EXTERNAL),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuStreamWaitEvent(stream_, event_, CU_EVENT_WAIT_EXTERNAL), CUDA_ERROR_INVALID_VALUE);
  OK(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuStreamWaitEvent(stream_, event_, CU_EVENT_WAIT_EXTERNAL));
  OK(cuEventRecordWithFlags(event_, stream_, CU_EVENT_RECORD_EXTERNAL));
  CUgraph captured = nullptr;
  OK(cuStreamEndCapture(stream_, &captured));
  graphs_.push_back(captured);
  CUgraphNode nodes[2]{};
  std::size_t count = 2;
  OK(cuGraphGetNodes(captured, nodes, &count));
  CUgraphNodeType types[2]{};
  OK(cuGraphNodeGetType(nodes[0], &types[0]));
  OK(cuGraphNodeGetType(nodes[1], &types[1]));
  EXPECT_EQ(types[0] == CU_GRAPH_NODE_TYPE_WAIT_EVENT ? types[1] : types[0],
            CU_GRAPH_NODE_TYPE_EVENT_RECORD);
}

}  // namespace
