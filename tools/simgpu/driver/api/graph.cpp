// Graphs: made, copied, listed, instantiated, launched.
#include <algorithm>

#include "api/graph_node.h"
#include "engine/statistics.h"
#include "engine/submit.h"

using namespace simgpu;

namespace {

CUresult make_exec(const char* function, CUgraphExec* out, CUgraph graph_handle) {
  SIMGPU_CALL_OF(function, driver);
  const auto graph = m.graphs.find(graph_handle);
  if (out == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto exec = std::make_shared<GraphExec>();
  exec->steps = instantiate(*graph);
  if (exec->steps == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = m.execs.add(std::move(exec));
  return CUDA_SUCCESS;
}

// A list answered in CUDA's way: the count alone, or as many as fit, the rest null.
template <typename T>
void give_list(const std::vector<T>& found, T* out, std::size_t* count) {
  if (out != nullptr) {
    for (std::size_t i = 0; i < *count; ++i) out[i] = i < found.size() ? found[i] : nullptr;
    *count = std::min(*count, found.size());
  } else {
    *count = found.size();
  }
}

}  // namespace

extern "C" {

CUresult cuGraphCreate(CUgraph* out, unsigned flags) {
  SIMGPU_CALL(driver);
  if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  *out = m.graphs.add(std::make_shared<Graph>());
  return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph handle) {
  SIMGPU_CALL(driver);
  return m.graphs.take(handle) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGraphClone(CUgraph* out, CUgraph handle) {
  SIMGPU_CALL(driver);
  const auto graph = m.graphs.find(handle);
  if (out == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = m.graphs.add(graph->clone());
  return CUDA_SUCCESS;
}

CUresult cuGraphAddDependencies(CUgraph, const CUgraphNode* from, const CUgraphNode* to,
                                std::size_t count) {
  SIMGPU_CALL(driver);
  for (std::size_t i = 0; i < count; ++i) {
    Node* before = find_node(m, from[i]);
    Node* node = find_node(m, to[i]);
    if (before == nullptr || node == nullptr || before->graph != node->graph ||
        std::find(node->after.begin(), node->after.end(), before) != node->after.end()) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    node->after.push_back(before);
  }
  return CUDA_SUCCESS;
}

CUresult cuGraphDestroyNode(CUgraphNode handle) {
  SIMGPU_CALL(driver);
  Node* node = find_node(m, handle);
  if (node == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto& nodes = node->graph->nodes;
  for (const auto& other : nodes) {
    other->after.erase(std::remove(other->after.begin(), other->after.end(), node),
                       other->after.end());
  }
  m.nodes.erase(handle);
  nodes.erase(
      std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.get() == node; }));
  return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* out, std::size_t* count) {
  SIMGPU_CALL(driver);
  const auto graph = m.graphs.find(handle);
  if (graph == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUgraphNode> found;
  for (const auto& node : graph->nodes) found.push_back(handle_of(node.get()));
  give_list(found, out, count);
  return CUDA_SUCCESS;
}

CUresult cuGraphGetRootNodes(CUgraph handle, CUgraphNode* out, std::size_t* count) {
  SIMGPU_CALL(driver);
  const auto graph = m.graphs.find(handle);
  if (graph == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUgraphNode> found;
  for (const auto& node : graph->nodes) {
    if (node->after.empty()) found.push_back(handle_of(node.get()));
  }
  give_list(found, out, count);
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode* out, std::size_t* count) {
  SIMGPU_CALL(driver);
  const Node* node = find_node(m, handle);
  if (node == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUgraphNode> found;
  for (Node* before : node->after) found.push_back(handle_of(before));
  give_list(found, out, count);
  return CUDA_SUCCESS;
}

CUresult cuGraphGetEdges(CUgraph handle, CUgraphNode* from, CUgraphNode* to, std::size_t* count) {
  SIMGPU_CALL(driver);
  const auto graph = m.graphs.find(handle);
  if (graph == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUgraphNode> sources, targets;
  for (const auto& node : graph->nodes) {
    for (Node* before : node->after) {
      sources.push_back(handle_of(before));
      targets.push_back(handle_of(node.get()));
    }
  }
  std::size_t room = *count;
  give_list(sources, from, count);
  if (to != nullptr) give_list(targets, to, &room);
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType* type) {
  SIMGPU_CALL(driver);
  const Node* node = find_node(m, handle);
  if (node == nullptr || type == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *type = node->type;
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph graph, unsigned long long) {
  return make_exec(__func__, out, graph);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* out, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = make_exec(__func__, out, graph);
  params->result_out =
      result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
  return result;
}

CUresult cuGraphInstantiate_v2(CUgraphExec* out, CUgraph graph, CUgraphNode*, char* log,
                               std::size_t size) {
  if (log != nullptr && size > 0) *log = 0;
  return make_exec(__func__, out, graph);
}

CUresult cuGraphInstantiate(CUgraphExec* out, CUgraph graph, CUgraphNode* error, char* log,
                            std::size_t size) {
  return cuGraphInstantiate_v2(out, graph, error, log, size);
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
  SIMGPU_CALL(driver);
  return m.execs.take(handle) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream) {
  SIMGPU_CALL(context);
  return m.execs.find(exec) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  SIMGPU_CALL(context);
  const auto exec = m.execs.find(handle);
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, stream_handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult result = check_legacy_use(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  if (m.costs != nullptr) call.spend(m.costs->launch());
  statistics().graph_launches.fetch_add(1, std::memory_order_relaxed);
  if (stream->capture != nullptr) {
    OperationPtr none;
    return submit(call.context(), *stream, GraphWork{exec->steps}, CU_GRAPH_NODE_TYPE_GRAPH, &none);
  }
  std::vector<OperationPtr> after;
  if (exec->running != nullptr && !exec->running->settled()) after.push_back(exec->running);
  exec->running = stream->submit(GraphWork{exec->steps}, std::move(after));
  return CUDA_SUCCESS;
}
}
