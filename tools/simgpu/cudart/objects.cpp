// Streams, events, libraries, kernels and graphs as objects: what makes, describes and destroys
// them. Their handles are the driver's.
#include <cuda_runtime_api.h>

#include "call.h"

using namespace simgpu_cudart;

namespace {

CUfunction_attribute driver_attribute(cudaFuncAttribute attribute) {
  return static_cast<CUfunction_attribute>(attribute);  // one numbering
}
static_assert(int{cudaFuncAttributeMaxDynamicSharedMemorySize} ==
              int{CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES});

// A kernel's attribute on the calling thread's device.
cudaError_t kernel_attribute(int* value, CUfunction_attribute attribute, cudaKernel_t kernel) {
  int device = 0;
  if (cudaError_t error = ready(Needs::context); error != cudaSuccess) return remember(error);
  if (cudaError_t error = current_device(&device); error != cudaSuccess) return remember(error);
  return call_in_context<&DriverCalls::KernelGetAttribute>(value, attribute, kernel, device);
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call_in_context<&DriverCalls::StreamCreate>(stream, flags);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return call_in_context<&DriverCalls::StreamCreateWithPriority>(stream, flags, priority);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call_in_context<&DriverCalls::StreamDestroy>(stream);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return call_driver<&DriverCalls::ThreadExchangeStreamCaptureMode>(
      reinterpret_cast<CUstreamCaptureMode*>(mode));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call_in_context<&DriverCalls::EventCreate>(event, flags);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call_in_context<&DriverCalls::EventQuery>(event);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call_in_context<&DriverCalls::EventSynchronize>(event);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return call_in_context<&DriverCalls::EventElapsedTime>(milliseconds, begin, end);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call_in_context<&DriverCalls::EventDestroy>(event);
}

cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code,
                                cudaJitOption* jit_options, void** jit_values, unsigned jit_count,
                                cudaLibraryOption* options, void** values, unsigned count) {
  return call_in_context<&DriverCalls::LibraryLoadData>(
      library, code, reinterpret_cast<CUjit_option*>(jit_options), jit_values, jit_count,
      reinterpret_cast<CUlibraryOption*>(options), values, count);
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  return call_in_context<&DriverCalls::LibraryUnload>(library);
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library, const char* name) {
  return call_in_context<&DriverCalls::LibraryGetKernel>(kernel, library, name);
}

cudaError_t cudaLibraryGetGlobal(void** out, size_t* size, cudaLibrary_t library,
                                 const char* name) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  CUdeviceptr device = 0;
  const cudaError_t error =
      call_in_context<&DriverCalls::LibraryGetGlobal>(&device, size, library, name);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(device);
  return error;
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, cudaFuncAttribute attribute,
                                            int value, int device) {
  return call_in_context<&DriverCalls::KernelSetAttribute>(driver_attribute(attribute), value,
                                                           kernel, device);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  int device = 0;
  if (cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  return cudaKernelSetAttributeForDevice(static_cast<cudaKernel_t>(const_cast<void*>(kernel)),
                                         attribute, value, device);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* function) {
  if (out == nullptr) return remember(cudaErrorInvalidValue);
  if (function == nullptr) return remember(cudaErrorInvalidDeviceFunction);
  const auto kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  cudaFuncAttributes attributes{};
  int shared = 0, constant = 0, local = 0;
  const struct {
    int* value;
    CUfunction_attribute attribute;
  } rows[] = {
      {&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES},
      {&constant, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES},
      {&local, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES},
      {&attributes.maxThreadsPerBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK},
      {&attributes.numRegs, CU_FUNC_ATTRIBUTE_NUM_REGS},
      {&attributes.ptxVersion, CU_FUNC_ATTRIBUTE_PTX_VERSION},
      {&attributes.binaryVersion, CU_FUNC_ATTRIBUTE_BINARY_VERSION},
      {&attributes.cacheModeCA, CU_FUNC_ATTRIBUTE_CACHE_MODE_CA},
      {&attributes.maxDynamicSharedSizeBytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES},
      {&attributes.preferredShmemCarveout, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT},
  };
  for (const auto& row : rows) {
    const cudaError_t error = kernel_attribute(row.value, row.attribute, kernel);
    if (error != cudaSuccess) return error;
  }
  attributes.sharedSizeBytes = static_cast<size_t>(shared);
  attributes.constSizeBytes = static_cast<size_t>(constant);
  attributes.localSizeBytes = static_cast<size_t>(local);
  *out = attributes;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* out, cudaGraph_t graph,
                                          unsigned long long flags) {
  return call_in_context<&DriverCalls::GraphInstantiateWithFlags>(out, graph, flags);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph,
                                 unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(out, graph, flags);
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return call_in_context<&DriverCalls::GraphGetNodes>(graph, nodes, count);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  return call_in_context<&DriverCalls::GraphExecDestroy>(graph);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call_in_context<&DriverCalls::GraphDestroy>(graph);
}
}
