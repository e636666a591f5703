// cuCtxEnablePeerAccess opens all of cuMemAlloc's memory in the peer context to the current one. Of
// mapped memory the driver says that access is for each mapping to set: so the regions are opened
// by us.
#include "interpose/cuda_result.h"
#include "interpose/hook_scope.h"

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuCtxEnablePeerAccess, peer, flags);
  if (result != CUDA_SUCCESS || !scope.outermost()) return result;
  const vhbm::Status opened = Session::get().peer_enabled(scope.linkage(), peer);
  if (!opened.ok()) (void)scope.call(&Functions::cuCtxDisablePeerAccess, peer);
  return to_cuda(opened);
}

CUresult CUDAAPI cuCtxDisablePeerAccess(CUcontext peer) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuCtxDisablePeerAccess, peer);
  if (result == CUDA_SUCCESS && scope.outermost()) {
    Session::get().peer_disabled(scope.linkage(), peer);
  }
  return result;
}

}  // extern "C"
