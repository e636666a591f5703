// Executable graphs: what they touch is read when they are made or updated, and named at each
// launch.
#include "interpose/submit.h"

namespace vhbm::interpose {
namespace {

void name_graph(Runtime& runtime, CUgraphExec executable) {
  runtime.launched();
  const GraphEvidence::Addresses* addresses = Session::get().graphs.find(executable);
  if (addresses != nullptr) runtime.named(*addresses);
}

void learn(const HookScope& scope, CUgraphExec executable, CUgraph graph) {
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr) return;
  Session& session = Session::get();
  session.graphs.learn(executable, graph, *runtime, scope.linkage().ask, session.layouts);
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

VHBM_SUBMITS(cuGraphLaunch, _ptsz, (CUgraphExec executable, CUstream stream), (executable, stream),
             stream, name_graph(runtime, executable))
// Uploading moves the graph itself, not what it works on; it is work on a stream all the same.
VHBM_SUBMITS(cuGraphUpload, _ptsz, (CUgraphExec executable, CUstream stream), (executable, stream),
             stream)

}  // extern "C"
