// Contexts are announced after the driver made them, and withdrawn before it ends them: a region
// belongs to the context it was allocated in, and goes with it as cuMemAlloc's memory does.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {
namespace {

template <typename... P>
CUresult create(CUresult (CUDAAPI* Functions::*function)(CUcontext*, P...), CUcontext* out,
                std::type_identity_t<P>... more) {
  const HookScope scope;
  const CUresult result = scope.call(function, out, more...);
  if (result == CUDA_SUCCESS && scope.outermost()) Session::get().context_created(*out);
  return result;
}

CUresult destroy(CUresult (CUDAAPI* Functions::*function)(CUcontext), CUcontext context) {
  const HookScope scope;
  if (scope.outermost()) Session::get().context_destroyed(context);
  return scope.call(function, context);
}

CUresult release(CUresult (CUDAAPI* Functions::*function)(CUdevice), CUdevice device) {
  const HookScope scope;
  if (scope.outermost()) Session::get().primary_released(device);
  return scope.call(function, device);
}

CUresult reset(CUresult (CUDAAPI* Functions::*function)(CUdevice), CUdevice device) {
  const HookScope scope;
  if (scope.outermost()) Session::get().primary_reset(device);
  const CUresult result = scope.call(function, device);
  // Who retained it has it still: "Resetting the primary context does not release it" (cuda.h).
  if (scope.outermost()) Session::get().primary_renewed(device);
  return result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuInit(unsigned flags) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuInit, flags);
  if (result == CUDA_SUCCESS && scope.outermost()) Session::watch_forks();
  return result;
}

CUresult CUDAAPI cuCtxCreate(CUcontext* out, unsigned flags, CUdevice device) {
  return create(&Functions::cuCtxCreate, out, flags, device);
}

CUresult CUDAAPI cuCtxCreate_v2(CUcontext* out, unsigned flags, CUdevice device) {
  return create(&Functions::cuCtxCreate_v2, out, flags, device);
}

CUresult CUDAAPI cuCtxCreate_v3(CUcontext* out, CUexecAffinityParam* affinities, int count,
                                unsigned flags, CUdevice device) {
  return create(&Functions::cuCtxCreate_v3, out, affinities, count, flags, device);
}

#if CUDA_VERSION >= 12050
CUresult CUDAAPI cuCtxCreate_v4(CUcontext* out, CUctxCreateParams* parameters, unsigned flags,
                                CUdevice device) {
  return create(&Functions::cuCtxCreate_v4, out, parameters, flags, device);
}
#endif

CUresult CUDAAPI cuCtxDestroy(CUcontext context) {
  return destroy(&Functions::cuCtxDestroy, context);
}

CUresult CUDAAPI cuCtxDestroy_v2(CUcontext context) {
  return destroy(&Functions::cuCtxDestroy_v2, context);
}

CUresult CUDAAPI cuCtxAttach(CUcontext* out, unsigned flags) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuCtxAttach, out, flags);
  if (result == CUDA_SUCCESS && scope.outermost()) Session::get().context_attached(*out);
  return result;
}

CUresult CUDAAPI cuCtxDetach(CUcontext context) {
  const HookScope scope;
  if (scope.outermost()) Session::get().context_detached(context);
  return scope.call(&Functions::cuCtxDetach, context);
}

CUresult CUDAAPI cuGreenCtxCreate(CUgreenCtx* out, CUdevResourceDesc resources, CUdevice device,
                                  unsigned flags) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuGreenCtxCreate, out, resources, device, flags);
  CUcontext primary = nullptr;
  // It is alive from here on; this only asks which it is.
  if (result != CUDA_SUCCESS || !scope.outermost() ||
      scope.call(&Functions::cuDevicePrimaryCtxRetain, &primary, device) != CUDA_SUCCESS) {
    return result;
  }
  (void)scope.call(&Functions::cuDevicePrimaryCtxRelease_v2, device);
  Session::get().green_created(*out, device, primary);
  return result;
}

CUresult CUDAAPI cuGreenCtxDestroy(CUgreenCtx green) {
  const HookScope scope;
  if (scope.outermost()) Session::get().green_destroyed(green);
  return scope.call(&Functions::cuGreenCtxDestroy, green);
}

// Its null stream can be used from here on.
CUresult CUDAAPI cuCtxFromGreenCtx(CUcontext* out, CUgreenCtx green) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuCtxFromGreenCtx, out, green);
  if (result == CUDA_SUCCESS && scope.outermost()) Session::get().green_used(green, *out);
  return result;
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuDevicePrimaryCtxRetain, out, device);
  if (result == CUDA_SUCCESS && scope.outermost()) Session::get().primary_retained(device, *out);
  return result;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice device) {
  return release(&Functions::cuDevicePrimaryCtxRelease, device);
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return release(&Functions::cuDevicePrimaryCtxRelease_v2, device);
}

CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice device) {
  return reset(&Functions::cuDevicePrimaryCtxReset, device);
}

CUresult CUDAAPI cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return reset(&Functions::cuDevicePrimaryCtxReset_v2, device);
}

}  // extern "C"
