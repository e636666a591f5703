#include "engine/submit.h"

namespace simgpu {

CUresult check_legacy_use(Context& context, const Stream& stream) {
  if (stream.kind != StreamKind::legacy || !context.blocking_stream_is_capturing()) {
    return CUDA_SUCCESS;
  }
  for (const auto& other : context.streams) {
    if (other->capture != nullptr && other->kind != StreamKind::non_blocking) {
      other->capture->valid = false;
    }
  }
  return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
}

CUresult submit(Context& context, Stream& stream, Work work, CUgraphNodeType type,
                OperationPtr* operation, Node** added) {
  *operation = nullptr;
  if (CUresult result = check_legacy_use(context, stream); result != CUDA_SUCCESS) return result;
  if (stream.capture == nullptr) {
    *operation = stream.submit(std::move(work));
    return CUDA_SUCCESS;
  }
  if (!stream.capture->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  Node* node = stream.capture->graph->add(type, std::move(work), stream.frontier);
  if (added != nullptr) *added = node;
  stream.capture->captured.insert(node);
  stream.frontier = {node};
  return CUDA_SUCCESS;
}

CUresult wait_for(Call& call, const OperationPtr& operation) {
  if (operation == nullptr) return CUDA_SUCCESS;
  machine()->wait(call.lock(), [&] { return operation->done; });
  call.observed(operation);
  return call.context().error;
}

CUresult resolve_stream(Call& call, CUstream handle, std::shared_ptr<Stream>* stream) {
  *stream = call.context().resolve(handle);
  return *stream == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

}  // namespace simgpu
