// Stream capture: announced before it begins, inside the gate, so that no drain is at work then,
// and withdrawn once the driver says that it ended.
#include "interpose/submit.h"

namespace vhbm::interpose {
namespace {

template <typename... P>
CUresult begin(CUresult (CUDAAPI* Functions::*function)(CUstream, P...), DefaultStream null_means,
               CUstreamCaptureMode mode, CUstream stream, std::type_identity_t<P>... more) {
  const HookScope scope;
  Runtime* const runtime = scope.start();
  if (runtime == nullptr) return scope.call(function, stream, more...);
  const auto pass = runtime->gate().pass();
  note_stream(*runtime, stream, null_means);
  Captures& captures = Session::get().captures;
  if (!captures.began(stream, null_means, mode, scope.linkage(), *runtime)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const CUresult result = scope.call(function, stream, more...);
  if (result != CUDA_SUCCESS) captures.refused(stream, null_means, *runtime);
  return result;
}

CUresult end(CUresult (CUDAAPI* Functions::*function)(CUstream, CUgraph*), DefaultStream null_means,
             CUstream stream, CUgraph* out) {
  const HookScope scope;
  const CUresult result = scope.call(function, stream, out);
  if (Runtime* const runtime = scope.runtime(); runtime != nullptr) {
    Session::get().captures.end_attempted(stream, null_means, scope.linkage(), *runtime);
  }
  return result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuStreamBeginCapture(CUstream stream) {
  return begin(&Functions::cuStreamBeginCapture, DefaultStream::legacy,
               CU_STREAM_CAPTURE_MODE_GLOBAL, stream);
}

CUresult CUDAAPI cuStreamBeginCapture_ptsz(CUstream stream) {
  return begin(&Functions::cuStreamBeginCapture_ptsz, DefaultStream::per_thread,
               CU_STREAM_CAPTURE_MODE_GLOBAL, stream);
}

CUresult CUDAAPI cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return begin(&Functions::cuStreamBeginCapture_v2, DefaultStream::legacy, mode, stream, mode);
}

CUresult CUDAAPI cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
  return begin(&Functions::cuStreamBeginCapture_v2_ptsz, DefaultStream::per_thread, mode, stream,
               mode);
}

CUresult CUDAAPI cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph,
                                             const CUgraphNode* dependencies,
                                             const CUgraphEdgeData* edges, std::size_t count,
                                             CUstreamCaptureMode mode) {
  return begin(&Functions::cuStreamBeginCaptureToGraph, DefaultStream::legacy, mode, stream, graph,
               dependencies, edges, count, mode);
}

CUresult CUDAAPI cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                                  const CUgraphNode* dependencies,
                                                  const CUgraphEdgeData* edges, std::size_t count,
                                                  CUstreamCaptureMode mode) {
  return begin(&Functions::cuStreamBeginCaptureToGraph_ptsz, DefaultStream::per_thread, mode,
               stream, graph, dependencies, edges, count, mode);
}

CUresult CUDAAPI cuStreamEndCapture(CUstream stream, CUgraph* out) {
  return end(&Functions::cuStreamEndCapture, DefaultStream::legacy, stream, out);
}

CUresult CUDAAPI cuStreamEndCapture_ptsz(CUstream stream, CUgraph* out) {
  return end(&Functions::cuStreamEndCapture_ptsz, DefaultStream::per_thread, stream, out);
}

}  // extern "C"
