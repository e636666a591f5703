// Graphs: what their kernels name is read when they are instantiated; a launch then costs one look-up.
#include <algorithm>
#include <vector>

#include "interpose/handle_map.h"
#include "interpose/hook_table.h"
#include "interpose/kernel_arguments.h"
#include "interpose/resolver.h"
#include "interpose/submission.h"

using namespace vhbm;
using namespace vhbm::interpose;

namespace {

// Addresses that an instantiated graph's kernels, copies and sets name, one a region.
using Named = std::vector<CUdeviceptr>;

HandleMap<Named, 16384> named_by;

struct Queries {
  decltype(&::cuGraphGetNodes) get_nodes;
  decltype(&::cuGraphNodeGetType) get_type;
  decltype(&::cuGraphKernelNodeGetParams_v2) kernel;
  decltype(&::cuGraphMemcpyNodeGetParams) memcpy;
  decltype(&::cuGraphMemsetNodeGetParams) memset;
  decltype(&::cuGraphChildGraphNodeGetGraph) child;

  bool complete() const { return get_nodes && get_type && kernel && memcpy && memset && child; }
};

template <typename F>
void find(F*& function, const char* name) {
  function = reinterpret_cast<F*>(next_function(name));
}

const Queries& queries() {
  static const Queries found = [] {
    Queries q;
    find(q.get_nodes, "cuGraphGetNodes");
    find(q.get_type, "cuGraphNodeGetType");
    find(q.kernel, "cuGraphKernelNodeGetParams_v2");
    find(q.memcpy, "cuGraphMemcpyNodeGetParams");
    find(q.memset, "cuGraphMemsetNodeGetParams");
    find(q.child, "cuGraphChildGraphNodeGetGraph");
    return q;
  }();
  return found;
}

// Keeps the word if it lies in a region that no kept one lies in.
void keep(CUdeviceptr word, void* user) {
  auto& named = *static_cast<Named*>(user);
  Runtime* owner = Process::instance().owner({word});
  const auto region = owner == nullptr ? std::nullopt : owner->find({word});
  if (!region.has_value()) return;
  if (std::find(named.begin(), named.end(), region->base.value) == named.end()) {
    named.push_back(region->base.value);
  }
}

void read_nodes(CUgraph graph, Named& named) {
  const Queries& q = queries();
  size_t count = 0;
  if (q.get_nodes(graph, nullptr, &count) != CUDA_SUCCESS) return;
  std::vector<CUgraphNode> nodes(count);
  if (q.get_nodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return;
  for (CUgraphNode node : nodes) {
    CUgraphNodeType type{};
    if (q.get_type(node, &type) != CUDA_SUCCESS) continue;
    CUDA_KERNEL_NODE_PARAMS_v2 kernel{};
    CUDA_MEMCPY3D copy{};
    CUDA_MEMSET_NODE_PARAMS set{};
    CUgraph child = nullptr;
    if (type == CU_GRAPH_NODE_TYPE_KERNEL && q.kernel(node, &kernel) == CUDA_SUCCESS) {
      const auto function = kernel.func != nullptr ? kernel.func : reinterpret_cast<CUfunction>(kernel.kern);
      for_each_argument_word(function, kernel.kernelParams, kernel.extra, &keep, &named);
    } else if (type == CU_GRAPH_NODE_TYPE_MEMCPY && q.memcpy(node, &copy) == CUDA_SUCCESS) {
      keep(copy.srcDevice, &named);
      keep(copy.dstDevice, &named);
    } else if (type == CU_GRAPH_NODE_TYPE_MEMSET && q.memset(node, &set) == CUDA_SUCCESS) {
      keep(set.dst, &named);
    } else if (type == CU_GRAPH_NODE_TYPE_GRAPH && q.child(node, &child) == CUDA_SUCCESS) {
      read_nodes(child, named);
    }
  }
}

CUresult instantiated(const HookScope& scope, CUresult result, CUgraphExec* exec, CUgraph graph) {
  if (result != CUDA_SUCCESS || !scope.entered() || !queries().complete()) return result;
  try {
    auto* named = new Named;
    read_nodes(graph, *named);
    named_by.remember(*exec, named);
  } catch (...) {
    named_by.forget(*exec);
  }
  return result;
}

void name_regions(Submission& work, CUgraphExec exec) {
  work.launches();
  const Named* named = work.active() ? named_by.find(exec) : nullptr;
  if (named != nullptr) {
    for (CUdeviceptr address : *named) work.names(address);
  }
}

}  // namespace

#define HOOK_INSTANTIATE(symbol, parameters, arguments)             \
  CUresult symbol parameters {                                      \
    if (real().symbol == nullptr) return kNoDriver;                 \
    HookScope scope;                                                \
    return instantiated(scope, real().symbol arguments, exec, graph); \
  }
#define HOOK_GRAPH_LAUNCH(symbol, meaning)                \
  CUresult symbol(CUgraphExec exec, CUstream stream) {    \
    if (real().symbol == nullptr) return kNoDriver;       \
    Submission work;                                      \
    work.on(stream, DefaultStream::meaning);              \
    name_regions(work, exec);                             \
    return real().symbol(exec, stream);                   \
  }

extern "C" {

HOOK_INSTANTIATE(cuGraphInstantiate,
                 (CUgraphExec * exec, CUgraph graph, CUgraphNode* error, char* log, size_t size),
                 (exec, graph, error, log, size))
HOOK_INSTANTIATE(cuGraphInstantiate_v2,
                 (CUgraphExec * exec, CUgraph graph, CUgraphNode* error, char* log, size_t size),
                 (exec, graph, error, log, size))
HOOK_INSTANTIATE(cuGraphInstantiateWithFlags,
                 (CUgraphExec * exec, CUgraph graph, unsigned long long flags), (exec, graph, flags))
HOOK_INSTANTIATE(cuGraphInstantiateWithParams,
                 (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params),
                 (exec, graph, params))
HOOK_INSTANTIATE(cuGraphInstantiateWithParams_ptsz,
                 (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params),
                 (exec, graph, params))

HOOK_GRAPH_LAUNCH(cuGraphLaunch, legacy)
HOOK_GRAPH_LAUNCH(cuGraphLaunch_ptsz, per_thread)

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  if (real().cuGraphExecDestroy == nullptr) return kNoDriver;
  // Destroying a graph while it is being launched is the application's error, so none reads this now.
  const Named* named = named_by.find(exec);
  named_by.forget(exec);
  delete named;
  return real().cuGraphExecDestroy(exec);
}
}
