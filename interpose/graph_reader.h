// Reads what a graph's nodes name, those of its child graphs and of conditional nodes' bodies
// included. What a node cannot be asked for is left out: this is evidence, and its absence costs
// speed only. Locking: one thread's own.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <vector>

#include "interpose/conditional_bodies.h"
#include "interpose/functions.h"
#include "interpose/kernel_arguments.h"
#include "interpose/parameter_layouts.h"

namespace vhbm::interpose {

// An address in the window that a node names.
struct NodeAddress {
  CUgraphNode node;
  CUgraphNode inside;  // the node of the outermost graph that holds it: itself, or a child graph's
  std::uint64_t address;
};

class GraphReader {
 public:
  // All of these outlive it.
  struct Means {
    const Window& window;
    const Queries& ask;
    ParameterLayouts& layouts;
    const ConditionalBodies& bodies;
  };
  explicit GraphReader(const Means& means) : means_(means) {}

  void read(CUgraph graph) { walk(graph, nullptr); }
  // What an instantiated graph's node is given in the place of what it had.
  void child(CUgraphNode node, CUgraph graph) { walk(graph, node); }
  void any(CUgraphNode node, const CUgraphNodeParams& parameters);
  // Any version of a kernel node's parameters.
  template <typename Parameters>
  void kernel(CUgraphNode node, const Parameters& parameters) {
    at(node);
    arguments(function_of(parameters), parameters.kernelParams, parameters.extra);
  }
  void copy(CUgraphNode node, const CUDA_MEMCPY3D& parameters);
  void memset(CUgraphNode node, CUdeviceptr address);
  void operations(CUgraphNode node, const CUstreamBatchMemOpParams* operations, unsigned count);

  [[nodiscard]] std::vector<NodeAddress> found() { return std::move(found_); }

 private:
  void walk(CUgraph graph, CUgraphNode inside);
  void walk_node(CUgraphNode node);
  void walk_inner(CUgraph graph);
  void at(CUgraphNode node) { now_ = {node, inside_ == nullptr ? node : inside_, 0}; }
  void arguments(CUfunction function, void** parameters, void** extra);
  void address(std::uint64_t word) {
    if (!means_.window.contains(word)) return;
    now_.address = word;
    found_.push_back(now_);
  }
  template <typename Parameters>
  static CUfunction function_of(const Parameters& parameters) {
    if constexpr (requires { parameters.kern; }) {
      if (parameters.func == nullptr) return reinterpret_cast<CUfunction>(parameters.kern);
    }
    return parameters.func;
  }

  const Means means_;
  CUgraphNode inside_ = nullptr;
  NodeAddress now_{};
  std::vector<NodeAddress> found_;
};

}  // namespace vhbm::interpose
