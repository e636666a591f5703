// Copies of boxes and batches of copies.
#include "interpose/copy_ranges.h"

using namespace vhbm::interpose;

extern "C" {

VHBM_SUBMITS(cuMemcpy2D_v2, _ptds, (const CUDA_MEMCPY2D* copy), (copy), nullptr,
             touch_copy(runtime, copy))
VHBM_SUBMITS(cuMemcpy2DUnaligned_v2, _ptds, (const CUDA_MEMCPY2D* copy), (copy), nullptr,
             touch_copy(runtime, copy))
VHBM_SUBMITS(cuMemcpy2DAsync_v2, _ptsz, (const CUDA_MEMCPY2D* copy, CUstream stream),
             (copy, stream), stream, touch_copy(runtime, copy))
VHBM_SUBMITS(cuMemcpy3D_v2, _ptds, (const CUDA_MEMCPY3D* copy), (copy), nullptr,
             touch_copy_3d(runtime, copy))
VHBM_SUBMITS(cuMemcpy3DAsync_v2, _ptsz, (const CUDA_MEMCPY3D* copy, CUstream stream),
             (copy, stream), stream, touch_copy_3d(runtime, copy))
VHBM_SUBMITS(cuMemcpy3DPeer, _ptds, (const CUDA_MEMCPY3D_PEER* copy), (copy), nullptr,
             touch_copy_3d(runtime, copy))
VHBM_SUBMITS(cuMemcpy3DPeerAsync, _ptsz, (const CUDA_MEMCPY3D_PEER* copy, CUstream stream),
             (copy, stream), stream, touch_copy_3d(runtime, copy))

#if CUDA_VERSION >= 12080
VHBM_SUBMITS(cuMemcpyBatchAsync, _ptsz,
             (CUdeviceptr * to, CUdeviceptr* from, std::size_t* sizes, std::size_t count,
              CUmemcpyAttributes* attributes, std::size_t* attribute_indices,
              std::size_t attribute_count, std::size_t* failed, CUstream stream),
             (to, from, sizes, count, attributes, attribute_indices, attribute_count, failed,
              stream),
             stream, touch_batch(runtime, to, from, sizes, count))
VHBM_SUBMITS(cuMemcpy3DBatchAsync, _ptsz,
             (std::size_t count, CUDA_MEMCPY3D_BATCH_OP* copies, std::size_t* failed,
              unsigned long long flags, CUstream stream),
             (count, copies, failed, flags, stream), stream, touch_3d_batch(runtime, copies, count))
#endif
#if CUDA_VERSION >= 13000
VHBM_SUBMITS(cuMemcpyBatchAsync_v2, _ptsz,
             (CUdeviceptr * to, CUdeviceptr* from, std::size_t* sizes, std::size_t count,
              CUmemcpyAttributes* attributes, std::size_t* attribute_indices,
              std::size_t attribute_count, CUstream stream),
             (to, from, sizes, count, attributes, attribute_indices, attribute_count, stream),
             stream, touch_batch(runtime, to, from, sizes, count))
VHBM_SUBMITS(cuMemcpy3DBatchAsync_v2, _ptsz,
             (std::size_t count, CUDA_MEMCPY3D_BATCH_OP* copies, unsigned long long flags,
              CUstream stream),
             (count, copies, flags, stream), stream, touch_3d_batch(runtime, copies, count))
#endif

}  // extern "C"
