// Green contexts: contexts beside the primary one, with its memory and modules and with streams of
// their own. What part of the GPU they have is only counted: all of them run at full speed.
#include <algorithm>

#include "lifecycle.h"

namespace simgpu {

Device* find_device(CUdevice device);

namespace {

constexpr unsigned kMultiprocessors = 64, kSmallestPart = 8;

CUdevResource multiprocessors(unsigned count) {
  CUdevResource resource{};
  resource.type = CU_DEV_RESOURCE_TYPE_SM;
  resource.sm.smCount = count;
  resource.sm.minSmPartitionSize = resource.sm.smCoscheduledAlignment = kSmallestPart;
  return resource;
}

Context* find_green(Machine& m, CUgreenCtx handle) {
  Context* context = m.find_context(reinterpret_cast<CUcontext>(handle));
  return context == nullptr || context->home == context ? nullptr : context;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuDeviceGetDevResource(CUdevice device, CUdevResource* out, CUdevResourceType type) {
  SIMGPU_CALL(driver);
  if (find_device(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_DEV_RESOURCE_TYPE_SM) return CUDA_ERROR_INVALID_RESOURCE_TYPE;
  *out = multiprocessors(kMultiprocessors);
  return CUDA_SUCCESS;
}

CUresult cuDevSmResourceSplitByCount(CUdevResource* out, unsigned* groups,
                                     const CUdevResource* input, CUdevResource* remaining, unsigned,
                                     unsigned least) {
  SIMGPU_CALL(driver);
  if (groups == nullptr || input == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (input->type != CU_DEV_RESOURCE_TYPE_SM) return CUDA_ERROR_INVALID_RESOURCE_TYPE;
  const unsigned size = std::max((least + kSmallestPart - 1) / kSmallestPart, 1u) * kSmallestPart;
  const unsigned most = input->sm.smCount / size;
  if (most == 0) return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
  *groups = out == nullptr ? most : std::min(*groups, most);
  for (unsigned i = 0; out != nullptr && i < *groups; ++i) out[i] = multiprocessors(size);
  if (remaining != nullptr) *remaining = multiprocessors(input->sm.smCount - *groups * size);
  return CUDA_SUCCESS;
}

CUresult cuDevResourceGenerateDesc(CUdevResourceDesc* out, CUdevResource* resources,
                                   unsigned count) {
  SIMGPU_CALL(driver);
  if (out == nullptr || resources == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
  std::uintptr_t sum = 0;
  for (unsigned i = 0; i < count; ++i) sum += resources[i].sm.smCount;
  *out = reinterpret_cast<CUdevResourceDesc>(sum);  // all that there is to describe
  return CUDA_SUCCESS;
}

CUresult cuGreenCtxCreate(CUgreenCtx* out, CUdevResourceDesc described, CUdevice device,
                          unsigned flags) {
  if (out == nullptr || described == nullptr || flags != CU_GREEN_CTX_DEFAULT_STREAM) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // "This API will retain the primary context on device dev, which … is released when the green
  // context is destroyed."
  CUcontext primary = nullptr;
  if (CUresult result = cuDevicePrimaryCtxRetain(&primary, device); result != CUDA_SUCCESS) {
    return result;
  }
  SIMGPU_CALL(driver);
  Device* found = find_device(device);
  m.contexts.push_back(std::make_unique<Context>(found, 0, false, found->primary.get()));
  *out = reinterpret_cast<CUgreenCtx>(m.contexts.back().get());
  return CUDA_SUCCESS;
}

CUresult cuGreenCtxDestroy(CUgreenCtx handle) {
  CUdevice device = 0;
  {
    SIMGPU_CALL(driver);
    Context* context = find_green(m, handle);
    if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    device = context->device->ordinal;
    destroy_context(call, context);
  }
  return cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuCtxFromGreenCtx(CUcontext* out, CUgreenCtx handle) {
  SIMGPU_CALL(driver);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Context* context = find_green(m, handle);
  if (context == nullptr || !context->alive) return CUDA_ERROR_INVALID_CONTEXT;
  *out = reinterpret_cast<CUcontext>(context);
  return CUDA_SUCCESS;
}

#if CUDA_VERSION >= 12050
CUresult cuGreenCtxStreamCreate(CUstream* out, CUgreenCtx handle, unsigned flags, int priority) {
  SIMGPU_CALL(driver);
  // "CU_STREAM_NON_BLOCKING: This must be specified."
  if (out == nullptr || flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
  Context* context = find_green(m, handle);
  if (context == nullptr || !context->alive) return CUDA_ERROR_INVALID_CONTEXT;
  *out =
      m.streams.add(context->create_stream(StreamKind::non_blocking, std::clamp(priority, -5, 0)));
  return CUDA_SUCCESS;
}
#endif

CUresult cuGreenCtxRecordEvent(CUgreenCtx handle, CUevent event) {
  return cuCtxRecordEvent(reinterpret_cast<CUcontext>(handle), event);
}
}
