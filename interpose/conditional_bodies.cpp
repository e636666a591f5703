// A body may itself hold conditional nodes, which go with it.
#include "interpose/conditional_bodies.h"

#include <algorithm>
#include <new>

namespace vhbm::interpose {

void ConditionalBodies::added(CUgraph graph, CUgraphNode node,
                              const CUDA_CONDITIONAL_NODE_PARAMS& parameters) noexcept {
  if (parameters.phGraph_out == nullptr) return;
  try {
    std::lock_guard lock(mutex_);
    nodes_[node] = {graph, {parameters.phGraph_out, parameters.phGraph_out + parameters.size}};
  } catch (const std::bad_alloc&) {
  }
}

void ConditionalBodies::node_destroyed(CUgraphNode node) noexcept {
  std::lock_guard lock(mutex_);
  if (const auto found = nodes_.find(node); found != nodes_.end()) forget(found);
}

void ConditionalBodies::graph_destroyed(CUgraph graph) noexcept {
  std::lock_guard lock(mutex_);
  forget_nodes_of(graph);
}

void ConditionalBodies::forget(std::map<CUgraphNode, Conditional>::iterator found) {
  const Conditional gone = std::move(found->second);
  nodes_.erase(found);
  for (CUgraph body : gone.bodies) forget_nodes_of(body);
}

void ConditionalBodies::forget_nodes_of(CUgraph graph) {
  for (;;) {
    const auto found = std::find_if(nodes_.begin(), nodes_.end(), [graph](const auto& node) {
      return node.second.graph == graph;
    });
    if (found == nodes_.end()) return;
    forget(found);
  }
}

std::vector<CUgraph> ConditionalBodies::of(CUgraphNode node) const {
  std::lock_guard lock(mutex_);
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? std::vector<CUgraph>{} : found->second.bodies;
}

}  // namespace vhbm::interpose
