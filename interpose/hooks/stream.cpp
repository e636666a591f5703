// Streams are announced to the runtime, since a drain waits for each. Operations that make a stream
// read or write a word of memory reach regions as kernels do; events and callbacks reach none, but
// a stream that gets no new work drains sooner.
#include "interpose/submit.h"

namespace vhbm::interpose {
namespace {

// `created` is told the context that the stream is in.
template <typename... P, typename Created>
CUresult create_in(CUresult (CUDAAPI* Functions::*function)(CUstream*, P...), Created&& created,
                   CUstream* out, std::type_identity_t<P>... more) {
  const HookScope scope;
  Runtime* const runtime = scope.start();
  const CUresult result = scope.call(function, out, more...);
  if (result != CUDA_SUCCESS || !scope.outermost() || Session::stands_aside()) return result;
  const Queries& ask = scope.linkage().ask;
  CUcontext context = nullptr;
  // A green context's stream belongs to another context than the current one.
  if (ask.cuStreamGetCtx == nullptr || ask.cuStreamGetCtx(*out, &context) != CUDA_SUCCESS ||
      context == nullptr) {
    (void)ask.cuCtxGetCurrent(&context);
  }
  created(context);
  if (runtime != nullptr) runtime->stream_created(context, *out);
  return result;
}

template <typename... P>
CUresult create(CUresult (CUDAAPI* Functions::*function)(CUstream*, P...), CUstream* out,
                std::type_identity_t<P>... more) {
  return create_in(
      function, [](CUcontext) {}, out, more...);
}

CUresult destroy(CUresult (CUDAAPI* Functions::*function)(CUstream), CUstream stream) {
  const HookScope scope;
  if (Runtime* const runtime = scope.runtime(); runtime != nullptr) {
    runtime->stream_destroyed(stream);
    Session::get().captures.stream_destroyed(stream, *runtime);
  }
  return scope.call(function, stream);
}

// The words that a batch of memory operations reads or writes.
void touch_words(Runtime& runtime, const CUstreamBatchMemOpParams* operations, unsigned count) {
  for (unsigned i = 0; operations != nullptr && i < count; ++i) {
    switch (operations[i].operation) {
      case CU_STREAM_MEM_OP_WAIT_VALUE_32:
      case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        touch(runtime, operations[i].waitValue.address, sizeof(std::uint64_t));
        break;
      case CU_STREAM_MEM_OP_WRITE_VALUE_32:
      case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        touch(runtime, operations[i].writeValue.address, sizeof(std::uint64_t), Access::written);
        break;
      default:
        break;
    }
  }
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuStreamCreate(CUstream* out, unsigned flags) {
  return create(&Functions::cuStreamCreate, out, flags);
}

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream* out, unsigned flags, int priority) {
  return create(&Functions::cuStreamCreateWithPriority, out, flags, priority);
}

#if CUDA_VERSION >= 12050
CUresult CUDAAPI cuGreenCtxStreamCreate(CUstream* out, CUgreenCtx context, unsigned flags,
                                        int priority) {
  return create_in(
      &Functions::cuGreenCtxStreamCreate,
      [context](CUcontext as) { Session::get().green_used(context, as); }, out, context, flags,
      priority);
}
#endif

CUresult CUDAAPI cuStreamDestroy(CUstream stream) {
  return destroy(&Functions::cuStreamDestroy, stream);
}

CUresult CUDAAPI cuStreamDestroy_v2(CUstream stream) {
  return destroy(&Functions::cuStreamDestroy_v2, stream);
}

#define VHBM_STREAM_VALUE(symbol, type, access)                                                   \
  VHBM_SUBMITS(symbol, _ptsz, (CUstream stream, CUdeviceptr address, type value, unsigned flags), \
               (stream, address, value, flags), stream,                                           \
               touch(runtime, address, sizeof(type), vhbm::Access::access))

VHBM_STREAM_VALUE(cuStreamWaitValue32, cuuint32_t, read)
VHBM_STREAM_VALUE(cuStreamWaitValue32_v2, cuuint32_t, read)
VHBM_STREAM_VALUE(cuStreamWaitValue64, cuuint64_t, read)
VHBM_STREAM_VALUE(cuStreamWaitValue64_v2, cuuint64_t, read)
VHBM_STREAM_VALUE(cuStreamWriteValue32, cuuint32_t, written)
VHBM_STREAM_VALUE(cuStreamWriteValue32_v2, cuuint32_t, written)
VHBM_STREAM_VALUE(cuStreamWriteValue64, cuuint64_t, written)
VHBM_STREAM_VALUE(cuStreamWriteValue64_v2, cuuint64_t, written)

VHBM_SUBMITS(cuStreamBatchMemOp, _ptsz,
             (CUstream stream, unsigned count, CUstreamBatchMemOpParams* operations,
              unsigned flags),
             (stream, count, operations, flags), stream, touch_words(runtime, operations, count))
VHBM_SUBMITS(cuStreamBatchMemOp_v2, _ptsz,
             (CUstream stream, unsigned count, CUstreamBatchMemOpParams* operations,
              unsigned flags),
             (stream, count, operations, flags), stream, touch_words(runtime, operations, count))

#if CUDA_VERSION >= 12060
VHBM_SUBMITS(
    cuMemBatchDecompressAsync, _ptsz,
    (CUmemDecompressParams * parts, std::size_t count, unsigned flags, std::size_t* failed,
     CUstream stream),
    (parts, count, flags, failed, stream), stream,
    for (std::size_t i = 0; parts != nullptr && i < count; ++i) {
      touch(runtime, parts[i].src, parts[i].srcNumBytes);
      touch(runtime, parts[i].dst, parts[i].dstNumBytes, vhbm::Access::written);
    })
#endif

VHBM_SUBMITS(cuEventRecord, _ptsz, (CUevent event, CUstream stream), (event, stream), stream)
VHBM_SUBMITS(cuEventRecordWithFlags, _ptsz, (CUevent event, CUstream stream, unsigned flags),
             (event, stream, flags), stream)
VHBM_SUBMITS(cuStreamWaitEvent, _ptsz, (CUstream stream, CUevent event, unsigned flags),
             (stream, event, flags), stream)
VHBM_SUBMIT_AS(legacy, cuGreenCtxRecordEvent, (CUgreenCtx context, CUevent event), (context, event),
               nullptr)
VHBM_SUBMIT_AS(legacy, cuGreenCtxWaitEvent, (CUgreenCtx context, CUevent event), (context, event),
               nullptr)
#if CUDA_VERSION >= 12050
VHBM_SUBMIT_AS(legacy, cuCtxRecordEvent, (CUcontext context, CUevent event), (context, event),
               nullptr)
VHBM_SUBMIT_AS(legacy, cuCtxWaitEvent, (CUcontext context, CUevent event), (context, event),
               nullptr)
#endif
VHBM_SUBMITS(cuStreamAddCallback, _ptsz,
             (CUstream stream, CUstreamCallback callback, void* data, unsigned flags),
             (stream, callback, data, flags), stream)

}  // extern "C"
