// One-dimensional copies: exact ranges. Under unified addressing either side may be a device
// address, whatever the function's name says; what is no region is not counted.
#include "interpose/submit.h"

using vhbm::interpose::touch;
using vhbm::interpose::touch_both;

extern "C" {

VHBM_SUBMITS(cuMemcpy, _ptds, (CUdeviceptr to, CUdeviceptr from, std::size_t size),
             (to, from, size), nullptr, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyAsync, _ptsz,
             (CUdeviceptr to, CUdeviceptr from, std::size_t size, CUstream stream),
             (to, from, size, stream), stream, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyHtoD_v2, _ptds, (CUdeviceptr to, const void* from, std::size_t size),
             (to, from, size), nullptr, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyHtoDAsync_v2, _ptsz,
             (CUdeviceptr to, const void* from, std::size_t size, CUstream stream),
             (to, from, size, stream), stream, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyDtoH_v2, _ptds, (void* to, CUdeviceptr from, std::size_t size),
             (to, from, size), nullptr, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyDtoHAsync_v2, _ptsz,
             (void* to, CUdeviceptr from, std::size_t size, CUstream stream),
             (to, from, size, stream), stream, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyDtoD_v2, _ptds, (CUdeviceptr to, CUdeviceptr from, std::size_t size),
             (to, from, size), nullptr, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyDtoDAsync_v2, _ptsz,
             (CUdeviceptr to, CUdeviceptr from, std::size_t size, CUstream stream),
             (to, from, size, stream), stream, touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyPeer, _ptds,
             (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
              std::size_t size),
             (to, to_context, from, from_context, size), nullptr,
             touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyPeerAsync, _ptsz,
             (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
              std::size_t size, CUstream stream),
             (to, to_context, from, from_context, size, stream), stream,
             touch_both(runtime, to, from, size))
VHBM_SUBMITS(cuMemcpyDtoA_v2, _ptds,
             (CUarray to, std::size_t offset, CUdeviceptr from, std::size_t size),
             (to, offset, from, size), nullptr, touch(runtime, from, size))
VHBM_SUBMITS(cuMemcpyAtoD_v2, _ptds,
             (CUdeviceptr to, CUarray from, std::size_t offset, std::size_t size),
             (to, from, offset, size), nullptr, touch(runtime, to, size, vhbm::Access::written))
VHBM_SUBMITS(cuMemcpyHtoA_v2, _ptds,
             (CUarray to, std::size_t offset, const void* from, std::size_t size),
             (to, offset, from, size), nullptr, touch(runtime, from, size))
VHBM_SUBMITS(cuMemcpyAtoH_v2, _ptds, (void* to, CUarray from, std::size_t offset, std::size_t size),
             (to, from, offset, size), nullptr, touch(runtime, to, size))
VHBM_SUBMITS(cuMemcpyAtoA_v2, _ptds,
             (CUarray to, std::size_t to_offset, CUarray from, std::size_t from_offset,
              std::size_t size),
             (to, to_offset, from, from_offset, size), nullptr)
VHBM_SUBMITS(cuMemcpyHtoAAsync_v2, _ptsz,
             (CUarray to, std::size_t offset, const void* from, std::size_t size, CUstream stream),
             (to, offset, from, size, stream), stream, touch(runtime, from, size))
VHBM_SUBMITS(cuMemcpyAtoHAsync_v2, _ptsz,
             (void* to, CUarray from, std::size_t offset, std::size_t size, CUstream stream),
             (to, from, offset, size, stream), stream, touch(runtime, to, size))

}  // extern "C"
