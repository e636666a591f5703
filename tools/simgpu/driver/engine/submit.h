// How every API entry hands work to a stream: into the capture the stream takes part in, or to run.
#pragma once

#include <cuda.h>

#include "lifecycle.h"

namespace simgpu {

// `*operation` is null when the work was captured. With CUDA_ERROR_STREAM_CAPTURE_IMPLICIT or
// _INVALIDATED nothing was submitted. `*added` is the node that a capture got.
CUresult submit(Context& context, Stream& stream, Work work, CUgraphNodeType type,
                OperationPtr* operation, Node** added = nullptr);

// Waits for an operation; gives the context's sticky error, if any.
CUresult wait_for(Call& call, const OperationPtr& operation);

// The stream of an API call's handle, or CUDA_ERROR_INVALID_HANDLE.
CUresult resolve_stream(Call& call, CUstream handle, std::shared_ptr<Stream>* stream);

// CUDA_ERROR_STREAM_CAPTURE_IMPLICIT when `stream` is the legacy one and a blocking stream
// captures.
CUresult check_legacy_use(Context& context, const Stream& stream);

}  // namespace simgpu

// The first line of an entry that works on a stream of the current context: as
// SIMGPU_CALL(context), with the handle's stream in `stream`.
#define SIMGPU_CALL_ON(handle)                                                                   \
  SIMGPU_CALL(context);                                                                          \
  std::shared_ptr<::simgpu::Stream> stream;                                                      \
  if (CUresult result = ::simgpu::resolve_stream(call, handle, &stream); result != CUDA_SUCCESS) \
  return result
