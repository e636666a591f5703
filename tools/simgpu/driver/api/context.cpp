// Contexts: primary ones, those the application creates, and the calling thread's stack of them.
#include <algorithm>

#include "engine/thread_state.h"
#include "lifecycle.h"

namespace simgpu {

Device* find_device(CUdevice device);

namespace {

std::vector<Context*>& stack() {
  return thread_state().contexts;
}
CUcontext handle_of(Context* context) {
  return reinterpret_cast<CUcontext>(context);
}

}  // namespace

void destroy_context(Call& call, Context* context) {
  context->destroy(call.lock());
  Machine& m = *machine();
  std::vector<CUmodule> modules;
  for (auto& [raw, module] : m.modules) {
    if (module->context == context) modules.push_back(reinterpret_cast<CUmodule>(raw));
  }
  for (CUmodule module : modules) {
    const auto taken = m.modules.take(module);
    for (const auto& [name, function] : taken->functions) m.functions.take(function);
  }
}

namespace {

// The device whose primary context is about to come or go: once no other thread is ending it.
Device* find_settled_device(Call& call, CUdevice device) {
  Device* found = find_device(device);
  if (found != nullptr && found->primary != nullptr) {
    found->primary->wait_while_ending(call.lock());
  }
  return found;
}

CUresult create(const char* function, CUcontext* out, unsigned flags, CUdevice device) {
  SIMGPU_CALL_OF(function, driver);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Device* found = find_device(device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  m.contexts.push_back(std::make_unique<Context>(found, flags, false));
  stack().push_back(m.contexts.back().get());
  *out = handle_of(stack().back());
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) {
  SIMGPU_CALL(driver);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Device* found = find_settled_device(call, device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (found->primary == nullptr) {
    found->primary = std::make_unique<Context>(found, found->primary_flags, true);
  } else if (!found->primary->alive) {
    found->primary->revive();
  }
  ++found->primary_references;
  *out = handle_of(found->primary.get());
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  SIMGPU_CALL(driver);
  Device* found = find_settled_device(call, device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (found->primary_references == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (--found->primary_references == 0) destroy_context(call, found->primary.get());
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  SIMGPU_CALL(driver);
  Device* found = find_settled_device(call, device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (found->primary_references == 0) return CUDA_SUCCESS;
  destroy_context(call, found->primary.get());
  found->primary->revive();
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  SIMGPU_CALL(driver);
  const Device* found = find_device(device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = found->primary_flags;
  *active = found->primary_references > 0 ? 1 : 0;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  SIMGPU_CALL(driver);
  Device* found = find_device(device);
  if (found == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if ((flags & ~static_cast<unsigned>(CU_CTX_FLAGS_MASK)) != 0) return CUDA_ERROR_INVALID_VALUE;
  found->primary_flags = flags;
  return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext* out, unsigned flags, CUdevice device) {
  return create(__func__, out, flags, device);
}

CUresult cuCtxCreate_v3(CUcontext* out, CUexecAffinityParam*, int, unsigned flags,
                        CUdevice device) {
  return create(__func__, out, flags, device);
}

#if CUDA_VERSION >= 12050
CUresult cuCtxCreate_v4(CUcontext* out, CUctxCreateParams*, unsigned flags, CUdevice device) {
  return create(__func__, out, flags, device);
}
#endif

CUresult cuCtxDestroy_v2(CUcontext handle) {
  SIMGPU_CALL(driver);
  Context* context = m.find_context(handle);
  if (context == nullptr || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
  if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  destroy_context(call, context);
  if (!stack().empty() && stack().back() == context) stack().pop_back();
  return CUDA_SUCCESS;
}

CUresult cuCtxAttach(CUcontext* out, unsigned flags) {
  SIMGPU_CALL(context);
  if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  ++call.context().uses;
  *out = handle_of(&call.context());
  return CUDA_SUCCESS;
}

CUresult cuCtxDetach(CUcontext handle) {
  SIMGPU_CALL(driver);
  Context* context = m.find_context(handle);
  // "The context handle … must be current to the calling thread."
  if (context == nullptr || context->primary || context != current_context()) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (--context->uses > 0) return CUDA_SUCCESS;
  destroy_context(call, context);
  stack().pop_back();
  return CUDA_SUCCESS;
}

// The first versions of these differ in name alone, or in what no test could tell.
CUresult cuCtxCreate(CUcontext* out, unsigned flags, CUdevice device) {
  return create(__func__, out, flags, device);
}
CUresult cuCtxDestroy(CUcontext handle) {
  return cuCtxDestroy_v2(handle);
}
CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  return cuDevicePrimaryCtxRelease_v2(device);
}
CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  return cuDevicePrimaryCtxReset_v2(device);
}

CUresult cuCtxPushCurrent_v2(CUcontext handle) {
  SIMGPU_CALL(driver);
  Context* context = m.find_context(handle);
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  stack().push_back(context);
  return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext* out) {
  SIMGPU_CALL(driver);
  if (stack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (out != nullptr) *out = handle_of(stack().back());
  stack().pop_back();
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext handle) {
  SIMGPU_CALL(driver);
  if (handle == nullptr) {
    if (!stack().empty()) stack().pop_back();
    return CUDA_SUCCESS;
  }
  Context* context = m.find_context(handle);
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (stack().empty()) {
    stack().push_back(context);
  } else {
    stack().back() = context;
  }
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* out) {
  SIMGPU_CALL(driver);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = handle_of(current_context());
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
  SIMGPU_CALL(driver);
  if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Context* context = current_context();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  *device = context->device->ordinal;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned* flags) {
  SIMGPU_CALL(context);
  if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = call.context().flags;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext handle, unsigned long long* id) {
  SIMGPU_CALL(driver);
  const Context* context = handle == nullptr ? current_context() : m.find_context(handle);
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  *id = context->id;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext handle, unsigned* version) {
  SIMGPU_CALL(driver);
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (handle != nullptr && m.find_context(handle) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *version = 3020;
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void) {
  SIMGPU_CALL(context);
  for (const auto& stream : call.context().streams) {
    if (stream->capture == nullptr) continue;
    stream->capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  call.context().synchronize(call.lock());
  m.trim_pools();
  return call.context().error;
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  SIMGPU_CALL(context);
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return CUDA_SUCCESS;
}

CUresult cuCtxEnablePeerAccess(CUcontext handle, unsigned flags) {
  SIMGPU_CALL(context);
  Context& context = call.context();
  Context* peer = m.find_context(handle);
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (peer == nullptr || !peer->alive || peer == &context) return CUDA_ERROR_INVALID_CONTEXT;
  if (peer->device == context.device) return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
  if (!context.peers.insert(peer).second) return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
  peer->device->heap.set_peer(context.device->ordinal, true);
  return CUDA_SUCCESS;
}

CUresult cuCtxDisablePeerAccess(CUcontext handle) {
  SIMGPU_CALL(context);
  Context* peer = m.find_context(handle);
  if (peer == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (call.context().peers.count(peer) == 0) return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
  call.context().forget_peer(peer);
  return CUDA_SUCCESS;
}

CUresult cuCtxRecordEvent(CUcontext handle, CUevent event_handle) {
  SIMGPU_CALL(driver);
  Context* context = handle == nullptr ? current_context() : m.find_context(handle);
  const auto event = m.events.find(event_handle);
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (context->error != CUDA_SUCCESS) return context->error;
  for (const auto& stream : context->streams) {
    if (stream->capture == nullptr) continue;
    stream->capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  event->capture = nullptr;
  event->recorded = context->record_everything();
  return CUDA_SUCCESS;
}
}
