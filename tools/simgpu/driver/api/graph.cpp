// Graphs: made, copied, joined and listed.
#include <algorithm>

#include "api/graph_node.h"
#include "lifecycle.h"

using namespace simgpu;

namespace {

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
  // "Cloning is not supported for graphs which contain … conditional nodes."
  if (out == nullptr || graph == nullptr || graph->has_conditional_nodes()) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = m.graphs.add(graph->clone());
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeFindInClone(CUgraphNode* out, CUgraphNode original, CUgraph handle) {
  SIMGPU_CALL(driver);
  const auto clone = m.graphs.find(handle);
  if (out == nullptr || clone == nullptr || original == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = nullptr;
  for (const auto& node : clone->nodes) {
    if (node->origin == original) *out = handle_of(node.get());
  }
  return *out == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
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

CUresult cuGraphRemoveDependencies(CUgraph, const CUgraphNode* from, const CUgraphNode* to,
                                   std::size_t count) {
  SIMGPU_CALL(driver);
  for (std::size_t i = 0; i < count; ++i) {
    const Node* before = find_node(m, from[i]);
    Node* node = find_node(m, to[i]);
    if (before == nullptr || node == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto edge = std::find(node->after.begin(), node->after.end(), before);
    if (edge == node->after.end()) return CUDA_ERROR_INVALID_VALUE;
    node->after.erase(edge);
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

CUresult cuGraphNodeGetDependentNodes(CUgraphNode handle, CUgraphNode* out, std::size_t* count) {
  SIMGPU_CALL(driver);
  const Node* node = find_node(m, handle);
  if (node == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUgraphNode> found;
  for (const auto& other : node->graph->nodes) {
    if (std::find(other->after.begin(), other->after.end(), node) != other->after.end()) {
      found.push_back(handle_of(other.get()));
    }
  }
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
}
