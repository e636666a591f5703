// What is done on a stream beside copies: launches, waits, capture, graph launches; and the
// driver's own functions by name. Compiled twice: see call_on_stream.h.
#include <tuple>

#include "call_on_stream.h"

namespace {

static_assert(sizeof(cudaLaunchAttribute) == sizeof(CUlaunchAttribute));

// A launch of nothing has an error of its own in the runtime.
bool is_shape(dim3 grid, dim3 block) {
  return grid.x != 0 && grid.y != 0 && grid.z != 0 && block.x != 0 && block.y != 0 && block.z != 0;
}

// Kernels come from cudaLibraryGetKernel; the driver takes its CUkernel where a CUfunction is
// asked.
CUfunction function_of(const void* kernel) {
  return reinterpret_cast<CUfunction>(const_cast<void*>(kernel));
}

cudaError_t entry_point(const char* symbol, void** out, int version, unsigned long long flags,
                        cudaDriverEntryPointQueryResult* status) {
  if (symbol == nullptr || out == nullptr || flags > cudaEnablePerThreadDefaultStream) {
    return remember(cudaErrorInvalidValue);
  }
  if (flags == cudaEnableDefault && default_stream == DefaultStream::per_thread) {
    flags = cudaEnablePerThreadDefaultStream;
  }
  CUdriverProcAddressQueryResult found{};
  const cudaError_t error =
      call_driver<&DriverCalls::GetProcAddress>(symbol, out, version, cuuint64_t{flags}, &found);
  if (error == cudaSuccess && status != nullptr) {
    *status = static_cast<cudaDriverEntryPointQueryResult>(found);
  }
  return error;
}

}  // namespace

extern "C" {

cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** parameters,
                             size_t shared_bytes, cudaStream_t stream) {
  if (kernel == nullptr) return remember(cudaErrorInvalidDeviceFunction);
  if (!is_shape(grid, block)) return remember(cudaErrorInvalidConfiguration);
  return call_on_stream<&DriverCalls::LaunchKernel>(
      function_of(kernel), grid.x, grid.y, grid.z, block.x, block.y, block.z,
      static_cast<unsigned>(shared_bytes), stream, parameters, nullptr);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel,
                                void** parameters) {
  if (config == nullptr) return remember(cudaErrorInvalidValue);
  if (kernel == nullptr) return remember(cudaErrorInvalidDeviceFunction);
  const auto& [grid, block] = std::tie(config->gridDim, config->blockDim);
  if (!is_shape(grid, block)) return remember(cudaErrorInvalidConfiguration);
  CUlaunchConfig launch{};
  launch.gridDimX = grid.x;
  launch.gridDimY = grid.y;
  launch.gridDimZ = grid.z;
  launch.blockDimX = block.x;
  launch.blockDimY = block.y;
  launch.blockDimZ = block.z;
  launch.sharedMemBytes = static_cast<unsigned>(config->dynamicSmemBytes);
  launch.hStream = config->stream;
  launch.attrs = reinterpret_cast<CUlaunchAttribute*>(config->attrs);
  launch.numAttrs = config->numAttrs;
  return call_on_stream<&DriverCalls::LaunchKernelEx>(&launch, function_of(kernel), parameters,
                                                      nullptr);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return call_on_stream<&DriverCalls::LaunchHostFunc>(stream, function, data);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call_on_stream<&DriverCalls::StreamSynchronize>(stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call_on_stream<&DriverCalls::StreamQuery>(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return call_on_stream<&DriverCalls::StreamWaitEvent>(stream, event, flags);
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  return call_on_stream<&DriverCalls::StreamGetFlags>(stream, flags);
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return call_on_stream<&DriverCalls::StreamGetPriority>(stream, priority);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call_on_stream<&DriverCalls::EventRecord>(event, stream);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  return call_on_stream<&DriverCalls::EventRecordWithFlags>(event, stream, flags);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call_on_stream<&DriverCalls::StreamBeginCapture>(stream,
                                                          static_cast<CUstreamCaptureMode>(mode));
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return call_on_stream<&DriverCalls::StreamEndCapture>(stream, graph);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call_on_stream<&DriverCalls::StreamIsCapturing>(
      stream, reinterpret_cast<CUstreamCaptureStatus*>(status));
}

#if CUDART_VERSION >= 13000  // before, this name had another signature
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  cuuint64_t capture_id = 0;
  const cudaError_t error = call_on_stream<&DriverCalls::StreamGetCaptureInfo>(
      stream, reinterpret_cast<CUstreamCaptureStatus*>(status), &capture_id, graph, dependencies,
      reinterpret_cast<const CUgraphEdgeData**>(edges), count);
  if (error == cudaSuccess && id != nullptr) *id = capture_id;
  return error;
}
#endif

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream) {
  return call_on_stream<&DriverCalls::GraphUpload>(graph, stream);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  return call_on_stream<&DriverCalls::GraphLaunch>(graph, stream);
}

cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** out, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* status) {
  return entry_point(symbol, out, CUDART_VERSION, flags, status);
}

#if CUDART_VERSION >= 12050
cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** out, unsigned version,
                                             unsigned long long flags,
                                             cudaDriverEntryPointQueryResult* status) {
  return entry_point(symbol, out, static_cast<int>(version), flags, status);
}
#endif
}
