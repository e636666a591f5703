// Executable graphs: what they touch is read when they are made, updated or changed node by node,
// and named at each launch. Nodes that kernels update themselves are known as they were then.
#include "interpose/submit.h"

namespace vhbm::interpose {
namespace {

void name_graph(Runtime& runtime, CUgraphExec executable) {
  runtime.launched();
  const GraphEvidence::Addresses* addresses = Session::get().graphs.find(executable);
  if (addresses != nullptr) runtime.named(*addresses);
}

// Lets `read` read with a reader, and gives `keep` what it found.
template <typename Read, typename Keep>
void read_graph(const HookScope& scope, Read&& read, Keep&& keep) noexcept {
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr) return;
  Session& session = Session::get();
  std::vector<NodeAddress> found;
  try {
    GraphReader reader(
        {runtime->window(), scope.linkage().ask, session.layouts, session.conditional_bodies});
    read(reader);
    found = reader.found();
  } catch (const std::bad_alloc&) {
    // What is not known costs speed only.
  }
  keep(session.graphs, std::move(found));
}

void learn(const HookScope& scope, CUgraphExec executable, CUgraph graph) {
  read_graph(
      scope, [&](GraphReader& reader) { reader.read(graph); },
      [&](GraphEvidence& graphs, std::vector<NodeAddress> found) {
        graphs.learn(executable, std::move(found));
      });
}

template <typename... P>
CUresult instantiate(CUresult (CUDAAPI* Functions::*function)(CUgraphExec*, CUgraph, P...),
                     CUgraphExec* out, CUgraph graph, std::type_identity_t<P>... more) {
  const HookScope scope;
  const CUresult result = scope.call(function, out, graph, more...);
  if (result == CUDA_SUCCESS) learn(scope, *out, graph);
  return result;
}

template <typename... P>
CUresult update(CUresult (CUDAAPI* Functions::*function)(CUgraphExec, CUgraph, P...),
                CUgraphExec executable, CUgraph graph, std::type_identity_t<P>... more) {
  const HookScope scope;
  const CUresult result = scope.call(function, executable, graph, more...);
  if (result == CUDA_SUCCESS) learn(scope, executable, graph);
  return result;
}

// One node of an executable graph gets new parameters, which `read` reads.
template <typename Parameters, typename... P, typename Read>
CUresult set_node(CUresult (CUDAAPI* Functions::*function)(CUgraphExec, CUgraphNode, Parameters,
                                                           P...),
                  CUgraphExec executable, CUgraphNode node,
                  std::type_identity_t<Parameters> parameters, Read&& read,
                  std::type_identity_t<P>... more) {
  const HookScope scope;
  const CUresult result = scope.call(function, executable, node, parameters, more...);
  if (result != CUDA_SUCCESS) return result;
  read_graph(scope, read, [&](GraphEvidence& graphs, std::vector<NodeAddress> found) {
    graphs.replace(executable, node, std::move(found));
  });
  return result;
}

// Whether to record what nodes and graphs there are, which begins before the runtime does.
bool records(const HookScope& scope) {
  return scope.outermost() && !Session::stands_aside();
}

// Of nodes that are added, the driver tells of conditional ones' bodies at this moment only.
template <typename... P>
CUresult add_node(CUresult (CUDAAPI* Functions::*function)(CUgraphNode*, CUgraph, P...),
                  CUgraphNode* out, CUgraph graph, const CUgraphNodeParams* parameters,
                  std::type_identity_t<P>... more) {
  const HookScope scope;
  const CUresult result = scope.call(function, out, graph, more...);
  if (result == CUDA_SUCCESS && records(scope) &&
      parameters->type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
    Session::get().conditional_bodies.added(graph, *out, parameters->conditional);
  }
  return result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuGraphInstantiate(CUgraphExec* out, CUgraph graph, CUgraphNode* failed, char* log,
                                    std::size_t log_size) {
  return instantiate(&Functions::cuGraphInstantiate, out, graph, failed, log, log_size);
}

CUresult CUDAAPI cuGraphInstantiate_v2(CUgraphExec* out, CUgraph graph, CUgraphNode* failed,
                                       char* log, std::size_t log_size) {
  return instantiate(&Functions::cuGraphInstantiate_v2, out, graph, failed, log, log_size);
}

CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph graph,
                                             unsigned long long flags) {
  return instantiate(&Functions::cuGraphInstantiateWithFlags, out, graph, flags);
}

CUresult CUDAAPI cuGraphInstantiateWithParams(CUgraphExec* out, CUgraph graph,
                                              CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  return instantiate(&Functions::cuGraphInstantiateWithParams, out, graph, parameters);
}

CUresult CUDAAPI cuGraphInstantiateWithParams_ptsz(CUgraphExec* out, CUgraph graph,
                                                   CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  return instantiate(&Functions::cuGraphInstantiateWithParams_ptsz, out, graph, parameters);
}

CUresult CUDAAPI cuGraphExecUpdate(CUgraphExec executable, CUgraph graph, CUgraphNode* failed,
                                   CUgraphExecUpdateResult* outcome) {
  return update(&Functions::cuGraphExecUpdate, executable, graph, failed, outcome);
}

CUresult CUDAAPI cuGraphExecUpdate_v2(CUgraphExec executable, CUgraph graph,
                                      CUgraphExecUpdateResultInfo* outcome) {
  return update(&Functions::cuGraphExecUpdate_v2, executable, graph, outcome);
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec executable) {
  const HookScope scope;
  if (scope.runtime() != nullptr) Session::get().graphs.forget(executable);
  return scope.call(&Functions::cuGraphExecDestroy, executable);
}

#define VHBM_SET_NODE(symbol, type, ...)                                          \
  CUresult CUDAAPI symbol(CUgraphExec executable, CUgraphNode node, type given) { \
    return set_node(&Functions::symbol, executable, node, given,                  \
                    [&](GraphReader& reader) { __VA_ARGS__; });                   \
  }
VHBM_SET_NODE(cuGraphExecNodeSetParams, CUgraphNodeParams*, reader.any(node, *given))
VHBM_SET_NODE(cuGraphExecKernelNodeSetParams, const CUDA_KERNEL_NODE_PARAMS_v1*,
              reader.kernel(node, *given))
VHBM_SET_NODE(cuGraphExecKernelNodeSetParams_v2, const CUDA_KERNEL_NODE_PARAMS*,
              reader.kernel(node, *given))
VHBM_SET_NODE(cuGraphExecChildGraphNodeSetParams, CUgraph, reader.child(node, given))
VHBM_SET_NODE(cuGraphExecBatchMemOpNodeSetParams, const CUDA_BATCH_MEM_OP_NODE_PARAMS*,
              reader.operations(node, given->paramArray, given->count))

CUresult CUDAAPI cuGraphExecMemcpyNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                                const CUDA_MEMCPY3D* copy, CUcontext context) {
  return set_node(
      &Functions::cuGraphExecMemcpyNodeSetParams, executable, node, copy,
      [&](GraphReader& reader) { reader.copy(node, *copy); }, context);
}

CUresult CUDAAPI cuGraphExecMemsetNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                                const CUDA_MEMSET_NODE_PARAMS* memset,
                                                CUcontext context) {
  return set_node(
      &Functions::cuGraphExecMemsetNodeSetParams, executable, node, memset,
      [&](GraphReader& reader) { reader.memset(node, memset->dst); }, context);
}

CUresult CUDAAPI cuGraphNodeSetEnabled(CUgraphExec executable, CUgraphNode node, unsigned enabled) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuGraphNodeSetEnabled, executable, node, enabled);
  if (result == CUDA_SUCCESS && scope.runtime() != nullptr) {
    Session::get().graphs.enable(executable, node, enabled != 0);
  }
  return result;
}

CUresult CUDAAPI cuGraphAddNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                                std::size_t count, CUgraphNodeParams* parameters) {
  return add_node(&Functions::cuGraphAddNode, out, graph, parameters, dependencies, count,
                  parameters);
}

CUresult CUDAAPI cuGraphAddNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                                   const CUgraphEdgeData* edges, std::size_t count,
                                   CUgraphNodeParams* parameters) {
  return add_node(&Functions::cuGraphAddNode_v2, out, graph, parameters, dependencies, edges, count,
                  parameters);
}

CUresult CUDAAPI cuGraphDestroyNode(CUgraphNode node) {
  const HookScope scope;
  if (records(scope)) Session::get().conditional_bodies.node_destroyed(node);
  return scope.call(&Functions::cuGraphDestroyNode, node);
}

CUresult CUDAAPI cuGraphDestroy(CUgraph graph) {
  const HookScope scope;
  if (records(scope)) Session::get().conditional_bodies.graph_destroyed(graph);
  return scope.call(&Functions::cuGraphDestroy, graph);
}

VHBM_SUBMITS(cuGraphLaunch, _ptsz, (CUgraphExec executable, CUstream stream), (executable, stream),
             stream, name_graph(runtime, executable))
// Uploading moves the graph itself, not what it works on; it is work on a stream all the same.
VHBM_SUBMITS(cuGraphUpload, _ptsz, (CUgraphExec executable, CUstream stream), (executable, stream),
             stream)

}  // extern "C"
