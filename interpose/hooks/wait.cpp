// Waiting for work submits none, so it passes no gate. When it returns, the application has usually
// nothing else in flight: the moment to move pages.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {
namespace {

template <typename... P>
CUresult wait(CUresult (CUDAAPI* Functions::*function)(P...),
              std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr) return scope.call(function, arguments...);
  runtime->wait_begins();
  const CUresult result = scope.call(function, arguments...);
  runtime->wait_ends();
  if (result == CUDA_SUCCESS) runtime->quiet_point();
  return result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuCtxSynchronize() {
  return wait(&Functions::cuCtxSynchronize);
}
#if CUDA_VERSION >= 13000
CUresult CUDAAPI cuCtxSynchronize_v2(CUcontext context) {
  return wait(&Functions::cuCtxSynchronize_v2, context);
}
#endif
CUresult CUDAAPI cuEventSynchronize(CUevent event) {
  return wait(&Functions::cuEventSynchronize, event);
}
CUresult CUDAAPI cuStreamSynchronize(CUstream stream) {
  return wait(&Functions::cuStreamSynchronize, stream);
}
CUresult CUDAAPI cuStreamSynchronize_ptsz(CUstream stream) {
  return wait(&Functions::cuStreamSynchronize_ptsz, stream);
}

}  // extern "C"
