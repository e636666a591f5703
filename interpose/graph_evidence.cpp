// Walks a graph's nodes and those of its child graphs. What a node cannot be asked for is left out:
// this is evidence, and its absence costs speed only.
#include "interpose/graph_evidence.h"

#include <algorithm>
#include <new>

#include "interpose/kernel_arguments.h"

namespace vhbm::interpose {
namespace {

class Walk {
 public:
  Walk(const Runtime& runtime, const Queries& ask, ParameterLayouts& layouts)
      : runtime_(runtime), ask_(ask), layouts_(layouts) {}

  void graph(CUgraph graph) {
    std::size_t count = 0;
    if (ask_.cuGraphGetNodes == nullptr || ask_.cuGraphNodeGetType == nullptr ||
        ask_.cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS || count == 0) {
      return;
    }
    std::vector<CUgraphNode> nodes(count);
    if (ask_.cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return;
    nodes.resize(std::min(count, nodes.size()));
    for (CUgraphNode one : nodes) node(one);
  }

  GraphEvidence::Addresses addresses() {
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    return std::move(found_);
  }

 private:
  void node(CUgraphNode node) {
    CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
    if (ask_.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) return;
    switch (type) {
      case CU_GRAPH_NODE_TYPE_KERNEL:
        return kernel(node);
      case CU_GRAPH_NODE_TYPE_MEMCPY:
        return copy(node);
      case CU_GRAPH_NODE_TYPE_MEMSET:
        return memset(node);
      case CU_GRAPH_NODE_TYPE_GRAPH:
        return child(node);
      default:
        return;
    }
  }

  void kernel(CUgraphNode node) {
    CUDA_KERNEL_NODE_PARAMS launch{};
    if (ask_.cuGraphKernelNodeGetParams_v2 == nullptr ||
        ask_.cuGraphKernelNodeGetParams_v2(node, &launch) != CUDA_SUCCESS) {
      return;
    }
    const Window& window = runtime_.window();
    const auto seen = [this](std::uint64_t word) { found_.push_back(word); };
    if (launch.extra != nullptr) return words_of_buffer(window, launch.extra, seen);
    const auto function =
        launch.func != nullptr ? launch.func : reinterpret_cast<CUfunction>(launch.kern);
    if (function == nullptr || launch.kernelParams == nullptr) return;
    const ParameterLayout* layout = layouts_.find(function);
    if (layout == nullptr) layout = layouts_.learn(function, ask_);
    if (layout != nullptr) words_of_parameters(window, *layout, launch.kernelParams, seen);
  }

  void copy(CUgraphNode node) {
    CUDA_MEMCPY3D copy{};
    if (ask_.cuGraphMemcpyNodeGetParams == nullptr ||
        ask_.cuGraphMemcpyNodeGetParams(node, &copy) != CUDA_SUCCESS) {
      return;
    }
    address(copy.dstDevice);
    address(copy.srcDevice);
  }

  void memset(CUgraphNode node) {
    CUDA_MEMSET_NODE_PARAMS memset{};
    if (ask_.cuGraphMemsetNodeGetParams == nullptr ||
        ask_.cuGraphMemsetNodeGetParams(node, &memset) != CUDA_SUCCESS) {
      return;
    }
    address(memset.dst);
  }

  void child(CUgraphNode node) {
    CUgraph inner = nullptr;
    if (ask_.cuGraphChildGraphNodeGetGraph != nullptr &&
        ask_.cuGraphChildGraphNodeGetGraph(node, &inner) == CUDA_SUCCESS) {
      graph(inner);
    }
  }

  void address(std::uint64_t word) {
    if (runtime_.owns({word})) found_.push_back(word);
  }

  const Runtime& runtime_;
  const Queries& ask_;
  ParameterLayouts& layouts_;
  GraphEvidence::Addresses found_;
};

}  // namespace

void GraphEvidence::learn(CUgraphExec executable, CUgraph graph, const Runtime& runtime,
                          const Queries& ask, ParameterLayouts& layouts) noexcept {
  try {
    Walk walk(runtime, ask, layouts);
    walk.graph(graph);
    auto addresses = std::make_unique<const Addresses>(walk.addresses());
    std::lock_guard lock(mutex_);
    std::unique_ptr<const Addresses> before(known_.take(executable));
    if (known_.put(executable, addresses.get())) (void)addresses.release();
  } catch (const std::bad_alloc&) {
    forget(executable);
  }
}

void GraphEvidence::forget(CUgraphExec executable) noexcept {
  std::lock_guard lock(mutex_);
  const std::unique_ptr<const Addresses> before(known_.take(executable));
}

}  // namespace vhbm::interpose
