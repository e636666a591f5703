// Updating an instantiated graph by another of the same topology (cuda.h: cuGraphExecUpdate).
#include <map>

#include "graph/graph.h"

namespace simgpu {
namespace {

using Info = CUgraphExecUpdateResultInfo;

Info check_node(const Graph& instantiated, const Graph& graph, std::size_t index,
                const std::map<const Node*, const Node*>& pair_of) {
  const Node& old_node = *instantiated.nodes[index];
  Node& node = *graph.nodes[index];
  if (old_node.type != node.type) {
    return {CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, handle_of(&node), nullptr};
  }
  if (old_node.after.size() != node.after.size()) {
    return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, handle_of(&node), nullptr};
  }
  for (std::size_t i = 0; i < node.after.size(); ++i) {
    if (pair_of.at(node.after[i]) == old_node.after[i]) continue;
    return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, handle_of(&node),
            handle_of(node.after[i])};
  }
  if (node.child != nullptr) return check_update(*old_node.child, *node.child);
  if (!parameters_may_change(old_node.work, node.work)) {
    return {CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED, handle_of(&node), nullptr};
  }
  return {};
}

}  // namespace

// "For 2d memsets, only address and assigned value may
// be updated", and a copy keeps its kinds of memory.
bool parameters_may_change(const Work& from, const Work& to) {
  if (const auto* old_set = std::get_if<MemsetWork>(&from)) {
    const auto& set = std::get<MemsetWork>(to);
    if (old_set->height != set.height) return false;
    return set.height <= 1 || (old_set->width == set.width && old_set->pitch == set.pitch &&
                               old_set->element == set.element);
  }
  if (const auto* old_copy = std::get_if<CopyWork>(&from)) {
    const auto& copy = std::get<CopyWork>(to);
    return old_copy->described.srcMemoryType == copy.described.srcMemoryType &&
           old_copy->described.dstMemoryType == copy.described.dstMemoryType;
  }
  if (const auto* old_operations = std::get_if<MemoryOperationsWork>(&from)) {
    return old_operations->operations.size() ==
           std::get<MemoryOperationsWork>(to).operations.size();
  }
  return true;
}

Info check_update(const Graph& instantiated, const Graph& graph) {
  if (instantiated.nodes.size() != graph.nodes.size()) {
    return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, nullptr, nullptr};
  }
  std::map<const Node*, const Node*> pair_of;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    pair_of[graph.nodes[i].get()] = instantiated.nodes[i].get();
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Info info = check_node(instantiated, graph, i, pair_of);
    if (info.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return info;
  }
  return {};
}

void apply_update(Graph& instantiated, const Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    instantiated.nodes[i]->work = graph.nodes[i]->work;
    if (graph.nodes[i]->child != nullptr) {
      apply_update(*instantiated.nodes[i]->child, *graph.nodes[i]->child);
    }
  }
}

}  // namespace simgpu
