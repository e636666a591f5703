// The per-thread default stream variants: the same entries, with NULL meaning the calling thread's
// own stream (cuda.h: "Stream synchronization behavior").
#include <cuda.h>

#include "engine/thread_state.h"

namespace {

// For the length of one entry, NULL means CU_STREAM_PER_THREAD.
class PerThreadDefault {
 public:
  PerThreadDefault() { simgpu::thread_state().per_thread_default = true; }
  ~PerThreadDefault() { simgpu::thread_state().per_thread_default = false; }
};

}  // namespace

// Declares VARIANT with the parameters of FUNCTION and calls it with NULL read that way.
#define PER_THREAD(function, variant, parameters, arguments) \
  CUresult function##variant parameters {                    \
    const PerThreadDefault scope;                            \
    return function arguments;                               \
  }

extern "C" {
PER_THREAD(cuEventRecord, _ptsz, (CUevent a, CUstream b), (a, b))
PER_THREAD(cuEventRecordWithFlags, _ptsz, (CUevent a, CUstream b, unsigned c), (a, b, c))
PER_THREAD(cuGraphInstantiateWithParams, _ptsz,
           (CUgraphExec * a, CUgraph b, CUDA_GRAPH_INSTANTIATE_PARAMS* c), (a, b, c))
PER_THREAD(cuGraphLaunch, _ptsz, (CUgraphExec a, CUstream b), (a, b))
PER_THREAD(cuGraphUpload, _ptsz, (CUgraphExec a, CUstream b), (a, b))
PER_THREAD(cuLaunchCooperativeKernel, _ptsz,
           (CUfunction a, unsigned b, unsigned c, unsigned d, unsigned e, unsigned f, unsigned g,
            unsigned h, CUstream i, void** j),
           (a, b, c, d, e, f, g, h, i, j))
PER_THREAD(cuLaunchHostFunc, _ptsz, (CUstream a, CUhostFn b, void* c), (a, b, c))
PER_THREAD(cuLaunchKernel, _ptsz,
           (CUfunction a, unsigned b, unsigned c, unsigned d, unsigned e, unsigned f, unsigned g,
            unsigned h, CUstream i, void** j, void** k),
           (a, b, c, d, e, f, g, h, i, j, k))
PER_THREAD(cuLaunchKernelEx, _ptsz, (const CUlaunchConfig* a, CUfunction b, void** c, void** d),
           (a, b, c, d))
PER_THREAD(cuMemAllocAsync, _ptsz, (CUdeviceptr_v2 * a, size_t b, CUstream c), (a, b, c))
PER_THREAD(cuMemAllocFromPoolAsync, _ptsz,
           (CUdeviceptr_v2 * a, size_t b, CUmemoryPool c, CUstream d), (a, b, c, d))
PER_THREAD(cuMemFreeAsync, _ptsz, (CUdeviceptr_v2 a, CUstream b), (a, b))
PER_THREAD(cuMemcpy, _ptds, (CUdeviceptr_v2 a, CUdeviceptr_v2 b, size_t c), (a, b, c))
PER_THREAD(cuMemcpy2DAsync_v2, _ptsz, (const CUDA_MEMCPY2D* a, CUstream b), (a, b))
PER_THREAD(cuMemcpy2DUnaligned_v2, _ptds, (const CUDA_MEMCPY2D* a), (a))
PER_THREAD(cuMemcpy2D_v2, _ptds, (const CUDA_MEMCPY2D* a), (a))
PER_THREAD(cuMemcpy3DAsync_v2, _ptsz, (const CUDA_MEMCPY3D* a, CUstream b), (a, b))
PER_THREAD(cuMemcpy3D_v2, _ptds, (const CUDA_MEMCPY3D* a), (a))
PER_THREAD(cuMemcpy3DPeer, _ptds, (const CUDA_MEMCPY3D_PEER* a), (a))
PER_THREAD(cuMemcpy3DPeerAsync, _ptsz, (const CUDA_MEMCPY3D_PEER* a, CUstream b), (a, b))
#if CUDA_VERSION >= 12080
PER_THREAD(cuMemcpy3DBatchAsync, _ptsz,
           (size_t a, CUDA_MEMCPY3D_BATCH_OP* b, size_t* c, unsigned long long d, CUstream e),
           (a, b, c, d, e))
PER_THREAD(cuMemcpyBatchAsync, _ptsz,
           (CUdeviceptr_v2 * a, CUdeviceptr_v2* b, size_t* c, size_t d, CUmemcpyAttributes* e,
            size_t* f, size_t g, size_t* h, CUstream i),
           (a, b, c, d, e, f, g, h, i))
#endif
#if CUDA_VERSION >= 13000
PER_THREAD(cuMemcpy3DBatchAsync_v2, _ptsz,
           (size_t a, CUDA_MEMCPY3D_BATCH_OP* b, unsigned long long c, CUstream d), (a, b, c, d))
PER_THREAD(cuMemcpyBatchAsync_v2, _ptsz,
           (CUdeviceptr_v2 * a, CUdeviceptr_v2* b, size_t* c, size_t d, CUmemcpyAttributes* e,
            size_t* f, size_t g, CUstream h),
           (a, b, c, d, e, f, g, h))
#endif
PER_THREAD(cuMemcpyAsync, _ptsz, (CUdeviceptr_v2 a, CUdeviceptr_v2 b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemcpyDtoDAsync_v2, _ptsz, (CUdeviceptr_v2 a, CUdeviceptr_v2 b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemcpyDtoD_v2, _ptds, (CUdeviceptr_v2 a, CUdeviceptr_v2 b, size_t c), (a, b, c))
PER_THREAD(cuMemcpyDtoHAsync_v2, _ptsz, (void* a, CUdeviceptr_v2 b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemcpyDtoH_v2, _ptds, (void* a, CUdeviceptr_v2 b, size_t c), (a, b, c))
PER_THREAD(cuMemcpyHtoDAsync_v2, _ptsz, (CUdeviceptr_v2 a, const void* b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemcpyHtoD_v2, _ptds, (CUdeviceptr_v2 a, const void* b, size_t c), (a, b, c))
PER_THREAD(cuMemcpyPeer, _ptds,
           (CUdeviceptr_v2 a, CUcontext b, CUdeviceptr_v2 c, CUcontext d, size_t e),
           (a, b, c, d, e))
PER_THREAD(cuMemcpyPeerAsync, _ptsz,
           (CUdeviceptr_v2 a, CUcontext b, CUdeviceptr_v2 c, CUcontext d, size_t e, CUstream f),
           (a, b, c, d, e, f))
PER_THREAD(cuMemsetD16Async, _ptsz, (CUdeviceptr_v2 a, unsigned short b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemsetD16_v2, _ptds, (CUdeviceptr_v2 a, unsigned short b, size_t c), (a, b, c))
PER_THREAD(cuMemsetD2D16Async, _ptsz,
           (CUdeviceptr_v2 a, size_t b, unsigned short c, size_t d, size_t e, CUstream f),
           (a, b, c, d, e, f))
PER_THREAD(cuMemsetD2D16_v2, _ptds,
           (CUdeviceptr_v2 a, size_t b, unsigned short c, size_t d, size_t e), (a, b, c, d, e))
PER_THREAD(cuMemsetD2D32Async, _ptsz,
           (CUdeviceptr_v2 a, size_t b, unsigned c, size_t d, size_t e, CUstream f),
           (a, b, c, d, e, f))
PER_THREAD(cuMemsetD2D32_v2, _ptds, (CUdeviceptr_v2 a, size_t b, unsigned c, size_t d, size_t e),
           (a, b, c, d, e))
PER_THREAD(cuMemsetD2D8Async, _ptsz,
           (CUdeviceptr_v2 a, size_t b, unsigned char c, size_t d, size_t e, CUstream f),
           (a, b, c, d, e, f))
PER_THREAD(cuMemsetD2D8_v2, _ptds,
           (CUdeviceptr_v2 a, size_t b, unsigned char c, size_t d, size_t e), (a, b, c, d, e))
PER_THREAD(cuMemsetD32Async, _ptsz, (CUdeviceptr_v2 a, unsigned b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemsetD32_v2, _ptds, (CUdeviceptr_v2 a, unsigned b, size_t c), (a, b, c))
PER_THREAD(cuMemsetD8Async, _ptsz, (CUdeviceptr_v2 a, unsigned char b, size_t c, CUstream d),
           (a, b, c, d))
PER_THREAD(cuMemsetD8_v2, _ptds, (CUdeviceptr_v2 a, unsigned char b, size_t c), (a, b, c))
PER_THREAD(cuStreamAddCallback, _ptsz, (CUstream a, CUstreamCallback b, void* c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamBatchMemOp, _ptsz,
           (CUstream a, unsigned b, CUstreamBatchMemOpParams* c, unsigned d), (a, b, c, d))
PER_THREAD(cuStreamBatchMemOp_v2, _ptsz,
           (CUstream a, unsigned b, CUstreamBatchMemOpParams* c, unsigned d), (a, b, c, d))
PER_THREAD(cuStreamBeginCapture, _ptsz, (CUstream a), (a))
PER_THREAD(cuStreamBeginCapture_v2, _ptsz, (CUstream a, CUstreamCaptureMode b), (a, b))
PER_THREAD(cuStreamBeginCaptureToGraph, _ptsz,
           (CUstream a, CUgraph b, const CUgraphNode* c, const CUgraphEdgeData* d, size_t e,
            CUstreamCaptureMode f),
           (a, b, c, d, e, f))
PER_THREAD(cuStreamEndCapture, _ptsz, (CUstream a, CUgraph* b), (a, b))
PER_THREAD(cuStreamGetCaptureInfo_v2, _ptsz,
           (CUstream a, CUstreamCaptureStatus* b, cuuint64_t* c, CUgraph* d, const CUgraphNode** e,
            size_t* f),
           (a, b, c, d, e, f))
PER_THREAD(cuStreamGetCaptureInfo_v3, _ptsz,
           (CUstream a, CUstreamCaptureStatus* b, cuuint64_t* c, CUgraph* d, const CUgraphNode** e,
            const CUgraphEdgeData** f, size_t* g),
           (a, b, c, d, e, f, g))
PER_THREAD(cuStreamGetCtx, _ptsz, (CUstream a, CUcontext* b), (a, b))
PER_THREAD(cuStreamGetFlags, _ptsz, (CUstream a, unsigned int* b), (a, b))
PER_THREAD(cuStreamGetId, _ptsz, (CUstream a, unsigned long long* b), (a, b))
PER_THREAD(cuStreamGetPriority, _ptsz, (CUstream a, int* b), (a, b))
PER_THREAD(cuStreamIsCapturing, _ptsz, (CUstream a, CUstreamCaptureStatus* b), (a, b))
PER_THREAD(cuStreamQuery, _ptsz, (CUstream a), (a))
PER_THREAD(cuStreamSynchronize, _ptsz, (CUstream a), (a))
PER_THREAD(cuStreamUpdateCaptureDependencies, _ptsz,
           (CUstream a, CUgraphNode* b, size_t c, unsigned d), (a, b, c, d))
PER_THREAD(cuStreamUpdateCaptureDependencies_v2, _ptsz,
           (CUstream a, CUgraphNode* b, const CUgraphEdgeData* c, size_t d, unsigned e),
           (a, b, c, d, e))
PER_THREAD(cuStreamWaitEvent, _ptsz, (CUstream a, CUevent b, unsigned c), (a, b, c))
PER_THREAD(cuStreamWaitValue32, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint32_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWaitValue32_v2, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint32_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWaitValue64, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint64_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWaitValue64_v2, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint64_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWriteValue32, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint32_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWriteValue32_v2, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint32_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWriteValue64, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint64_t c, unsigned d),
           (a, b, c, d))
PER_THREAD(cuStreamWriteValue64_v2, _ptsz, (CUstream a, CUdeviceptr_v2 b, cuuint64_t c, unsigned d),
           (a, b, c, d))
}
