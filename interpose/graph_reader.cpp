// Nodes are asked by their type; what they do not name, such as a host function's data, is not.
#include "interpose/graph_reader.h"

#include <algorithm>

namespace vhbm::interpose {

void GraphReader::walk(CUgraph graph, CUgraphNode inside) {
  const Queries& ask = means_.ask;
  std::size_t count = 0;
  if (ask.cuGraphGetNodes == nullptr || ask.cuGraphNodeGetType == nullptr ||
      ask.cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS || count == 0) {
    return;
  }
  std::vector<CUgraphNode> nodes(count);
  if (ask.cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return;
  nodes.resize(std::min(count, nodes.size()));
  const CUgraphNode before = inside_;
  inside_ = inside;
  for (CUgraphNode one : nodes) walk_node(one);
  inside_ = before;
}

// A graph within the node that is being read.
void GraphReader::walk_inner(CUgraph graph) {
  const NodeAddress outer = now_;
  walk(graph, outer.inside);
  now_ = outer;
}

void GraphReader::walk_node(CUgraphNode node) {
  const Queries& ask = means_.ask;
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  if (ask.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) return;
  at(node);
  const auto told = [node](auto get, auto* parameters) {
    return get != nullptr && get(node, parameters) == CUDA_SUCCESS;
  };
  switch (type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      CUDA_KERNEL_NODE_PARAMS launch{};
      if (told(ask.cuGraphKernelNodeGetParams_v2, &launch)) kernel(node, launch);
      return;
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY: {
      CUDA_MEMCPY3D described{};
      if (told(ask.cuGraphMemcpyNodeGetParams, &described)) copy(node, described);
      return;
    }
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      CUDA_MEMSET_NODE_PARAMS described{};
      if (told(ask.cuGraphMemsetNodeGetParams, &described)) memset(node, described.dst);
      return;
    }
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
      CUDA_BATCH_MEM_OP_NODE_PARAMS batch{};
      if (told(ask.cuGraphBatchMemOpNodeGetParams, &batch)) {
        operations(node, batch.paramArray, batch.count);
      }
      return;
    }
    case CU_GRAPH_NODE_TYPE_GRAPH: {
      CUgraph inner = nullptr;
      if (told(ask.cuGraphChildGraphNodeGetGraph, &inner)) walk_inner(inner);
      return;
    }
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      for (CUgraph body : means_.bodies.of(node)) walk_inner(body);
      return;
    default:
      return;
  }
}

void GraphReader::any(CUgraphNode node, const CUgraphNodeParams& parameters) {
  switch (parameters.type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return kernel(node, parameters.kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return copy(node, parameters.memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
      return memset(node, parameters.memset.dst);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return operations(node, parameters.memOp.paramArray, parameters.memOp.count);
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return child(node, parameters.graph.graph);
    default:
      return;
  }
}

void GraphReader::copy(CUgraphNode node, const CUDA_MEMCPY3D& parameters) {
  at(node);
  address(parameters.dstDevice);
  address(parameters.srcDevice);
}

void GraphReader::memset(CUgraphNode node, CUdeviceptr where) {
  at(node);
  address(where);
}

void GraphReader::operations(CUgraphNode node, const CUstreamBatchMemOpParams* operations,
                             unsigned count) {
  at(node);
  // Every kind of operation that has an address has it in the same place.
  static_assert(offsetof(CUstreamBatchMemOpParams, waitValue.address) ==
                offsetof(CUstreamBatchMemOpParams, writeValue.address));
  for (unsigned i = 0; operations != nullptr && i < count; ++i) {
    switch (operations[i].operation) {
      case CU_STREAM_MEM_OP_WAIT_VALUE_32:
      case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      case CU_STREAM_MEM_OP_WRITE_VALUE_32:
      case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        address(operations[i].waitValue.address);
        break;
      default:
        break;
    }
  }
}

void GraphReader::arguments(CUfunction function, void** parameters, void** extra) {
  const auto seen = [this](std::uint64_t word) { address(word); };
  if (extra != nullptr) return words_of_buffer(means_.window, extra, seen);
  if (function == nullptr || parameters == nullptr) return;
  const ParameterLayout* layout = means_.layouts.find(function);
  if (layout == nullptr) layout = means_.layouts.learn(function, means_.ask);
  if (layout != nullptr) words_of_parameters(means_.window, *layout, parameters, seen);
}

}  // namespace vhbm::interpose
