// The graphs inside conditional nodes. The driver tells of them once, when a node is added
// (cuda.h: CUDA_CONDITIONAL_NODE_PARAMS), and knows no way to ask later. Locking: a mutex.
#pragma once

#include <cuda.h>

#include <map>
#include <mutex>
#include <vector>

namespace vhbm::interpose {

class ConditionalBodies {
 public:
  // `parameters` as the driver left them. What there is no memory for is not known later.
  void added(CUgraph graph, CUgraphNode node,
             const CUDA_CONDITIONAL_NODE_PARAMS& parameters) noexcept;
  // They go with the node, and a node with its graph; either's handle may come back.
  void node_destroyed(CUgraphNode node) noexcept;
  void graph_destroyed(CUgraph graph) noexcept;

  // Empty when nothing is known of the node.
  [[nodiscard]] std::vector<CUgraph> of(CUgraphNode node) const;

 private:
  struct Conditional {
    CUgraph graph;  // that the node is in
    std::vector<CUgraph> bodies;
  };
  void forget(std::map<CUgraphNode, Conditional>::iterator found);
  void forget_nodes_of(CUgraph graph);

  mutable std::mutex mutex_;
  std::map<CUgraphNode, Conditional> nodes_;
};

}  // namespace vhbm::interpose
