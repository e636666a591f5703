// Stream capture: from a stream's calls to a graph.
#include <algorithm>

#include "api/graph_node.h"
#include "engine/submit.h"
#include "engine/thread_state.h"

using namespace simgpu;

namespace {

// Whether everything captured leads to what the origin's stream ended with.
bool is_joined(const Capture& capture) {
  std::set<const Node*> reached;
  std::vector<const Node*> open(capture.origin->frontier.begin(), capture.origin->frontier.end());
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (!reached.insert(node).second) continue;
    open.insert(open.end(), node->after.begin(), node->after.end());
  }
  return std::includes(reached.begin(), reached.end(), capture.captured.begin(),
                       capture.captured.end());
}

CUresult begin_capture(CUstream handle, CUstreamCaptureMode mode, std::shared_ptr<Graph> graph,
                       std::vector<Node*> frontier, Call& call, Machine& m) {
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  if (stream->kind == StreamKind::legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream->capture != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  auto capture = std::make_shared<Capture>();
  capture->id = m.next_id++;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->origin = stream.get();
  capture->graph = std::move(graph);
  capture->streams = {stream.get()};
  stream->capture = capture;
  stream->frontier = std::move(frontier);
  m.captures.push_back(std::move(capture));
  return CUDA_SUCCESS;
}

CUresult capture_info(Call& call, CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id,
                      CUgraph* graph, const CUgraphNode** dependencies, std::size_t* count) {
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (stream->kind == StreamKind::legacy && call.context().blocking_stream_is_capturing()) {
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  const auto& capture = stream->capture;
  *status = capture == nullptr ? CU_STREAM_CAPTURE_STATUS_NONE
            : capture->valid   ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                               : CU_STREAM_CAPTURE_STATUS_INVALIDATED;
  if (capture == nullptr || !capture->valid) return CUDA_SUCCESS;
  if (id != nullptr) *id = capture->id;
  if (graph != nullptr) *graph = reinterpret_cast<CUgraph>(capture->graph.get());
  // The array stays the driver's; it is valid until the stream's next call.
  static thread_local std::vector<CUgraphNode> handles;
  handles.clear();
  for (Node* node : stream->frontier) handles.push_back(handle_of(node));
  if (dependencies != nullptr) *dependencies = handles.data();
  if (count != nullptr) *count = handles.size();
  return CUDA_SUCCESS;
}

// Forgets that nodes, and what leads to them, were captured: nobody has to join them.
void release_from_capture(Capture& capture, std::vector<Node*> open) {
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (capture.captured.erase(node) == 0) continue;
    open.insert(open.end(), node->after.begin(), node->after.end());
  }
}

CUresult update_dependencies(Call& call, Machine& m, CUstream handle,
                             const CUgraphNode* dependencies, std::size_t count, unsigned flags) {
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (count > 0 && dependencies == nullptr))
    return CUDA_ERROR_INVALID_VALUE;
  if (stream->capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  std::vector<Node*> frontier;
  if (flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES) frontier = stream->frontier;
  for (std::size_t i = 0; i < count; ++i) {
    Node* node = find_node(m, dependencies[i]);
    if (node == nullptr || node->graph != stream->capture->graph.get())
      return CUDA_ERROR_INVALID_VALUE;
    if (std::find(frontier.begin(), frontier.end(), node) == frontier.end())
      frontier.push_back(node);
  }
  if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES) {
    std::vector<Node*> removed;
    for (Node* node : stream->frontier) {
      if (std::find(frontier.begin(), frontier.end(), node) == frontier.end())
        removed.push_back(node);
    }
    release_from_capture(*stream->capture, std::move(removed));
  }
  stream->frontier = std::move(frontier);
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  SIMGPU_CALL(context);
  return begin_capture(handle, mode, std::make_shared<Graph>(), {}, call, m);
}

CUresult cuStreamBeginCapture(CUstream handle) {
  return cuStreamBeginCapture_v2(handle, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamBeginCaptureToGraph(CUstream handle, CUgraph graph_handle,
                                     const CUgraphNode* dependencies, const CUgraphEdgeData*,
                                     std::size_t count, CUstreamCaptureMode mode) {
  SIMGPU_CALL(context);
  const auto graph = m.graphs.find(graph_handle);
  if (graph == nullptr || (count > 0 && dependencies == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  std::vector<Node*> frontier;
  for (std::size_t i = 0; i < count; ++i) {
    Node* node = find_node(m, dependencies[i]);
    if (node == nullptr || node->graph != graph.get()) return CUDA_ERROR_INVALID_VALUE;
    frontier.push_back(node);
  }
  return begin_capture(handle, mode, graph, std::move(frontier), call, m);
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* out) {
  SIMGPU_CALL_ON(handle);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = nullptr;
  const auto capture = stream->capture;
  if (capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  if (capture->origin != stream.get()) {
    capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  }
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
      capture->thread != std::this_thread::get_id()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  const bool joined = is_joined(*capture);
  for (Stream* member : capture->streams) {
    member->capture = nullptr;
    member->frontier.clear();
  }
  m.captures.erase(std::remove(m.captures.begin(), m.captures.end(), capture), m.captures.end());
  if (!capture->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (!joined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  *out = m.graphs.add(capture->graph);
  return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  SIMGPU_CALL(context);
  return capture_info(call, handle, status, nullptr, nullptr, nullptr, nullptr);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   std::size_t* count) {
  SIMGPU_CALL(context);
  return capture_info(call, handle, status, id, graph, dependencies, count);
}

CUresult cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   const CUgraphEdgeData** edges, std::size_t* count) {
  SIMGPU_CALL(context);
  if (edges != nullptr) *edges = nullptr;
  return capture_info(call, handle, status, id, graph, dependencies, count);
}

CUresult cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode* dependencies,
                                           std::size_t count, unsigned flags) {
  SIMGPU_CALL(context);
  return update_dependencies(call, m, handle, dependencies, count, flags);
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream handle, CUgraphNode* dependencies,
                                              const CUgraphEdgeData*, std::size_t count,
                                              unsigned flags) {
  SIMGPU_CALL(context);
  return update_dependencies(call, m, handle, dependencies, count, flags);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  SIMGPU_CALL(driver);
  if (mode == nullptr || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  std::swap(thread_state().capture_mode, *mode);
  return CUDA_SUCCESS;
}
}
