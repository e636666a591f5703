// What a drain must know: streams, contexts, captures; and what makes cached knowledge stale.
#include "interpose/hook_scope.h"
#include "interpose/hook_table.h"
#include "interpose/kernel_arguments.h"
#include "interpose/submission.h"

using namespace vhbm::interpose;

namespace {

CUresult stream_made(const HookScope& scope, CUresult result, CUstream* stream) {
  if (scope.entered() && result == CUDA_SUCCESS) Process::instance().stream_created(*stream);
  return result;
}

CUresult context_made(const HookScope& scope, CUresult result, CUcontext* context) {
  if (scope.entered() && result == CUDA_SUCCESS) Process::instance().context_created(*context);
  return result;
}

}  // namespace

// Announced before the driver begins it, inside the gate: a flip under way ends first, and none begins
// until the capture has ended.
#define HOOK_BEGIN_CAPTURE(symbol, parameters, arguments)                 \
  CUresult symbol parameters {                                            \
    if (real().symbol == nullptr) return kNoDriver;                       \
    Submission work;                                                      \
    const bool counted = Process::instance().active();                    \
    if (counted) Process::instance().capture_began();                     \
    const CUresult result = real().symbol arguments;                      \
    if (counted && result != CUDA_SUCCESS) Process::instance().capture_ended(); \
    return result;                                                        \
  }
#define HOOK_BEGIN_CAPTURE_BOTH(symbol, parameters, arguments) \
  HOOK_BEGIN_CAPTURE(symbol, parameters, arguments)            \
  HOOK_BEGIN_CAPTURE(symbol##_ptsz, parameters, arguments)

// A capture is over on every answer but those that say it was not this call's to end.
#define HOOK_END_CAPTURE(symbol)                                                        \
  CUresult symbol(CUstream stream, CUgraph* graph) {                                    \
    if (real().symbol == nullptr) return kNoDriver;                                     \
    const CUresult result = real().symbol(stream, graph);                               \
    const bool over = result == CUDA_SUCCESS || result == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED || \
                      result == CUDA_ERROR_STREAM_CAPTURE_UNJOINED;                     \
    if (over && Process::instance().capturing()) Process::instance().capture_ended();   \
    return result;                                                                      \
  }

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned int flags) {
  if (real().cuStreamCreate == nullptr) return kNoDriver;
  HookScope scope;
  return stream_made(scope, real().cuStreamCreate(stream, flags), stream);
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int priority) {
  if (real().cuStreamCreateWithPriority == nullptr) return kNoDriver;
  HookScope scope;
  return stream_made(scope, real().cuStreamCreateWithPriority(stream, flags, priority), stream);
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  if (real().cuStreamDestroy_v2 == nullptr) return kNoDriver;
  HookScope scope;
  if (scope.entered()) Process::instance().stream_destroyed(stream);
  return real().cuStreamDestroy_v2(stream);
}

HOOK_BEGIN_CAPTURE_BOTH(cuStreamBeginCapture, (CUstream stream), (stream))
HOOK_BEGIN_CAPTURE_BOTH(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode), (stream, mode))
HOOK_BEGIN_CAPTURE_BOTH(cuStreamBeginCaptureToGraph,
                        (CUstream stream, CUgraph graph, const CUgraphNode* dependencies,
                         const CUgraphEdgeData* edges, size_t count, CUstreamCaptureMode mode),
                        (stream, graph, dependencies, edges, count, mode))
HOOK_END_CAPTURE(cuStreamEndCapture)
HOOK_END_CAPTURE(cuStreamEndCapture_ptsz)

CUresult cuCtxCreate_v2(CUcontext* context, unsigned int flags, CUdevice device) {
  if (real().cuCtxCreate_v2 == nullptr) return kNoDriver;
  HookScope scope;
  return context_made(scope, real().cuCtxCreate_v2(context, flags, device), context);
}

CUresult cuCtxCreate_v3(CUcontext* context, CUexecAffinityParam* parameters, int count, unsigned int flags,
                        CUdevice device) {
  if (real().cuCtxCreate_v3 == nullptr) return kNoDriver;
  HookScope scope;
  return context_made(scope, real().cuCtxCreate_v3(context, parameters, count, flags, device), context);
}

CUresult cuCtxCreate_v4(CUcontext* context, CUctxCreateParams* parameters, unsigned int flags,
                        CUdevice device) {
  if (real().cuCtxCreate_v4 == nullptr) return kNoDriver;
  HookScope scope;
  return context_made(scope, real().cuCtxCreate_v4(context, parameters, flags, device), context);
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  if (real().cuCtxDestroy_v2 == nullptr) return kNoDriver;
  HookScope scope;
  if (scope.entered()) Process::instance().context_destroyed(context);
  return real().cuCtxDestroy_v2(context);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  if (real().cuDevicePrimaryCtxRetain == nullptr) return kNoDriver;
  HookScope scope;
  const CUresult result = real().cuDevicePrimaryCtxRetain(context, device);
  if (scope.entered() && result == CUDA_SUCCESS) {
    Process::instance().primary_context_retained(device, *context);
  }
  return result;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  if (real().cuDevicePrimaryCtxRelease_v2 == nullptr) return kNoDriver;
  HookScope scope;
  if (scope.entered()) Process::instance().primary_context_released(device);
  return real().cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  if (real().cuDevicePrimaryCtxReset_v2 == nullptr) return kNoDriver;
  HookScope scope;
  if (scope.entered()) Process::instance().primary_context_reset(device);
  return real().cuDevicePrimaryCtxReset_v2(device);
}

CUresult cuModuleUnload(CUmodule module) {
  if (real().cuModuleUnload == nullptr) return kNoDriver;
  forget_functions();
  return real().cuModuleUnload(module);
}

CUresult cuLibraryUnload(CUlibrary library) {
  if (real().cuLibraryUnload == nullptr) return kNoDriver;
  forget_functions();
  return real().cuLibraryUnload(library);
}
}
