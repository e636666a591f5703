// Work on a stream that reaches no region: of managed memory, arrays and other interfaces' objects.
// Gated all the same: a stream that gets no new work drains sooner, and it is known to be in use.
#include "interpose/submit.h"

extern "C" {

VHBM_SUBMITS(cuMemPrefetchAsync, _ptsz,
             (CUdeviceptr address, std::size_t size, CUdevice device, CUstream stream),
             (address, size, device, stream), stream)
VHBM_SUBMITS(cuMemPrefetchAsync_v2, _ptsz,
             (CUdeviceptr address, std::size_t size, CUmemLocation location, unsigned flags,
              CUstream stream),
             (address, size, location, flags, stream), stream)
VHBM_SUBMITS(cuStreamAttachMemAsync, _ptsz,
             (CUstream stream, CUdeviceptr address, std::size_t size, unsigned flags),
             (stream, address, size, flags), stream)

#if CUDA_VERSION >= 13000
VHBM_SUBMITS(cuMemPrefetchBatchAsync, _ptsz,
             (CUdeviceptr * addresses, std::size_t* sizes, std::size_t count,
              CUmemLocation* locations, std::size_t* location_indices, std::size_t location_count,
              unsigned long long flags, CUstream stream),
             (addresses, sizes, count, locations, location_indices, location_count, flags, stream),
             stream)
VHBM_SUBMITS(cuMemDiscardBatchAsync, _ptsz,
             (CUdeviceptr * addresses, std::size_t* sizes, std::size_t count,
              unsigned long long flags, CUstream stream),
             (addresses, sizes, count, flags, stream), stream)
VHBM_SUBMITS(cuMemDiscardAndPrefetchBatchAsync, _ptsz,
             (CUdeviceptr * addresses, std::size_t* sizes, std::size_t count,
              CUmemLocation* locations, std::size_t* location_indices, std::size_t location_count,
              unsigned long long flags, CUstream stream),
             (addresses, sizes, count, locations, location_indices, location_count, flags, stream),
             stream)
#endif

VHBM_SUBMITS(cuGraphicsMapResources, _ptsz,
             (unsigned count, CUgraphicsResource* resources, CUstream stream),
             (count, resources, stream), stream)
VHBM_SUBMITS(cuGraphicsUnmapResources, _ptsz,
             (unsigned count, CUgraphicsResource* resources, CUstream stream),
             (count, resources, stream), stream)

VHBM_SUBMITS(cuSignalExternalSemaphoresAsync, _ptsz,
             (const CUexternalSemaphore* semaphores,
              const CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS* parameters, unsigned count,
              CUstream stream),
             (semaphores, parameters, count, stream), stream)
VHBM_SUBMITS(cuWaitExternalSemaphoresAsync, _ptsz,
             (const CUexternalSemaphore* semaphores,
              const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS* parameters, unsigned count,
              CUstream stream),
             (semaphores, parameters, count, stream), stream)

}  // extern "C"
