// Streams, host functions and events.
#include <algorithm>
#include <cstring>

#include "engine/submit.h"
#include "engine/thread_state.h"

using namespace simgpu;

namespace {

// What forbids asking after, or waiting for, a stream: taking part in a capture (which the attempt
// spoils), or standing, as the legacy stream, before a capturing blocking one.
CUresult check_observable(Context& context, Stream& stream) {
  if (stream.capture != nullptr) {
    stream.capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return check_legacy_use(context, stream);
}

// On the virtual clock, who finds work complete is as late as that. Nothing else would move the
// clock of a host that only asks.
void observe_what_is_done(Call& call, const Stream& stream) {
  auto asked_for = stream.kind == StreamKind::legacy ? stream.context->pending_blocking()
                                                     : std::vector<OperationPtr>();
  if (stream.last() != nullptr) asked_for.push_back(stream.last());
  for (const OperationPtr& operation : asked_for) {
    if (operation->done) call.observed(operation);
  }
}

CUresult create_stream(const char* function, CUstream* out, unsigned flags, int priority) {
  SIMGPU_CALL_OF(function, context);
  if (out == nullptr || (flags & ~1u) != 0) return CUDA_ERROR_INVALID_VALUE;
  const StreamKind kind =
      flags == CU_STREAM_NON_BLOCKING ? StreamKind::non_blocking : StreamKind::blocking;
  *out = m.streams.add(call.context().create_stream(kind, std::clamp(priority, -5, 0)));
  return CUDA_SUCCESS;
}

// Makes `stream` wait for what an event captured inside the capture it belongs to: the stream
// joins.
CUresult join_capture(Stream& stream, const Event& event) {
  if (!event.capture->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (stream.capture != nullptr && stream.capture != event.capture) {
    stream.capture->valid = event.capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  stream.capture = event.capture;
  event.capture->streams.insert(&stream);
  for (Node* node : event.frontier) {
    if (std::find(stream.frontier.begin(), stream.frontier.end(), node) == stream.frontier.end()) {
      stream.frontier.push_back(node);
    }
  }
  return CUDA_SUCCESS;
}

// CU_EVENT_RECORD_EXTERNAL, CU_EVENT_WAIT_EXTERNAL: "invalid outside of stream capture".
CUresult add_event_node(Context& context, Stream& stream, EventWork work) {
  if (stream.capture == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUgraphNodeType type =
      work.records ? CU_GRAPH_NODE_TYPE_EVENT_RECORD : CU_GRAPH_NODE_TYPE_WAIT_EVENT;
  OperationPtr none;
  return submit(context, stream, std::move(work), type, &none);
}

bool is_ongoing(Machine& m, const std::shared_ptr<Capture>& capture) {
  return capture != nullptr &&
         std::find(m.captures.begin(), m.captures.end(), capture) != m.captures.end();
}

}  // namespace

extern "C" {

CUresult cuStreamCreate(CUstream* out, unsigned flags) {
  return create_stream(__func__, out, flags, 0);
}
CUresult cuStreamCreateWithPriority(CUstream* out, unsigned flags, int priority) {
  return create_stream(__func__, out, flags, priority);
}

CUresult cuStreamDestroy_v2(CUstream handle) {
  SIMGPU_CALL(driver);
  const auto stream = m.streams.take(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->capture != nullptr) {
    stream->capture->valid = false;
    stream->capture->streams.erase(stream.get());
  }
  stream->finish();  // what is queued still runs
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream handle) {
  return cuStreamDestroy_v2(handle);
}

CUresult cuStreamQuery(CUstream handle) {
  SIMGPU_CALL_ON(handle);
  if (CUresult result = check_observable(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  if (m.costs != nullptr) observe_what_is_done(call, *stream);
  const bool others_idle =
      stream->kind != StreamKind::legacy || stream->context->pending_blocking().empty();
  return stream->idle() && others_idle ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuStreamSynchronize(CUstream handle) {
  SIMGPU_CALL_ON(handle);
  if (CUresult result = check_observable(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  // The legacy stream stands for the blocking ones too: wait for a marker that waits for them.
  const OperationPtr last = stream->kind == StreamKind::legacy ? stream->submit(EmptyWork{})
                            : stream->idle()                   ? nullptr
                                                               : stream->last();
  const CUresult result = wait_for(call, last);
  m.trim_pools();
  return result;
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
  SIMGPU_CALL_ON(handle);
  const auto event = m.events.find(event_handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (flags > CU_EVENT_WAIT_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
  if (flags == CU_EVENT_WAIT_EXTERNAL) {
    return add_event_node(call.context(), *stream, EventWork{event, false});
  }
  if (is_ongoing(m, event->capture)) return join_capture(*stream, *event);
  if (stream->capture != nullptr) {
    if (event->recorded == nullptr) return CUDA_SUCCESS;
    stream->capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (CUresult result = check_legacy_use(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  if (event->recorded != nullptr && !event->recorded->settled()) {
    stream->submit(EmptyWork{}, {event->recorded});
  }
  return CUDA_SUCCESS;
}

CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  SIMGPU_CALL_ON(handle);
  if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = stream->kind == StreamKind::non_blocking ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetPriority(CUstream handle, int* priority) {
  SIMGPU_CALL_ON(handle);
  if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *priority = stream->priority;
  return CUDA_SUCCESS;
}

// While it is being captured a stream has no id to tell (CCCL, cudax, places: get_stream_id).
CUresult cuStreamGetId(CUstream handle, unsigned long long* id) {
  SIMGPU_CALL_ON(handle);
  if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (stream->capture != nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  *id = stream->id;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext* out) {
  SIMGPU_CALL_ON(handle);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUcontext>(stream->context);
  return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
  SIMGPU_CALL_ON(handle);
  if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  OperationPtr operation;
  return submit(call.context(), *stream, HostWork{function, data}, CU_GRAPH_NODE_TYPE_HOST,
                &operation);
}

CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback function, void* data,
                             unsigned flags) {
  SIMGPU_CALL_ON(handle);
  if (function == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (stream->capture != nullptr) {
    stream->capture->valid = false;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  OperationPtr operation;
  return submit(call.context(), *stream, CallbackWork{function, handle, data},
                CU_GRAPH_NODE_TYPE_HOST, &operation);
}

CUresult cuEventCreate(CUevent* out, unsigned flags) {
  SIMGPU_CALL(context);
  if (out == nullptr || (flags & ~7u) != 0) return CUDA_ERROR_INVALID_VALUE;
  auto event = std::make_shared<Event>();
  event->context = &call.context();
  event->flags = flags;
  *out = m.events.add(std::move(event));
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent handle) {
  SIMGPU_CALL(driver);
  return m.events.take(handle) == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
  SIMGPU_CALL(context);
  const auto event = m.events.find(handle);
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, stream_handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (event == nullptr || event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->capture != nullptr) {
    if (!stream->capture->valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    event->capture = stream->capture;
    event->frontier = stream->frontier;
    return CUDA_SUCCESS;
  }
  if (CUresult result = check_legacy_use(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  event->capture = nullptr;
  event->recorded = stream->submit(EmptyWork{});
  return CUDA_SUCCESS;
}

CUresult cuEventRecordWithFlags(CUevent event_handle, CUstream handle, unsigned flags) {
  if (flags == CU_EVENT_RECORD_DEFAULT) return cuEventRecord(event_handle, handle);
  SIMGPU_CALL_ON(handle);
  const auto event = m.events.find(event_handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (flags != CU_EVENT_RECORD_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
  return add_event_node(call.context(), *stream, EventWork{event, true});
}

CUresult cuEventQuery(CUevent handle) {
  SIMGPU_CALL(driver);
  const auto event = m.events.find(handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture != nullptr) {
    event->capture->valid = false;
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  if (event->recorded == nullptr) return event->context->error;
  if (!event->recorded->done) return CUDA_ERROR_NOT_READY;
  call.observed(event->recorded);
  return event->context->error;
}

CUresult cuEventSynchronize(CUevent handle) {
  SIMGPU_CALL(driver);
  const auto event = m.events.find(handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture != nullptr) {
    event->capture->valid = false;
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  if (const OperationPtr recorded = event->recorded) {
    m.wait(call.lock(), [&] { return recorded->done; });
    call.observed(recorded);
  }
  m.trim_pools();
  return event->context->error;
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent begin_handle, CUevent end_handle) {
  SIMGPU_CALL(driver);
  const auto begin = m.events.find(begin_handle), end = m.events.find(end_handle);
  if (begin == nullptr || end == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (begin->recorded == nullptr || end->recorded == nullptr ||
      ((begin->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!begin->recorded->done || !end->recorded->done) return CUDA_ERROR_NOT_READY;
  if (m.costs != nullptr) {
    call.observed(begin->recorded);
    call.observed(end->recorded);
    *milliseconds = static_cast<float>(m.costs->between(*begin->recorded, *end->recorded) * 1e3);
    return CUDA_SUCCESS;
  }
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->recorded->finished - begin->recorded->finished)
          .count();
  return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  return cuEventElapsedTime_v2(milliseconds, begin, end);
}
}
