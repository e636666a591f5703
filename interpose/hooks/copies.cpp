// Copies and memory sets: work with exact ranges.
#include "interpose/hook_table.h"
#include "interpose/submission.h"

using namespace vhbm::interpose;

namespace {

// Bytes from the first row's origin to the last row's end, of one side of a described copy.
std::size_t span(std::size_t width, std::size_t height, std::size_t depth, std::size_t pitch,
                 std::size_t slice_height, std::size_t x, std::size_t y, std::size_t z) {
  const std::size_t rows = (z + depth - 1) * slice_height + y + height;
  return rows * pitch + x + width;
}

bool is_address(CUmemorytype type) {
  return type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED;
}

void touches(Submission& work, const CUDA_MEMCPY2D* copy) {
  if (copy == nullptr) return;
  const auto& c = *copy;
  if (is_address(c.srcMemoryType)) {
    work.touches(c.srcDevice, span(c.WidthInBytes, c.Height, 1, c.srcPitch, 0, c.srcXInBytes, c.srcY, 0));
  }
  if (is_address(c.dstMemoryType)) {
    work.touches(c.dstDevice, span(c.WidthInBytes, c.Height, 1, c.dstPitch, 0, c.dstXInBytes, c.dstY, 0));
  }
}

template <typename Copy3D>  // CUDA_MEMCPY3D and CUDA_MEMCPY3D_PEER share these fields
void touches(Submission& work, const Copy3D* copy) {
  if (copy == nullptr) return;
  const auto& c = *copy;
  if (is_address(c.srcMemoryType)) {
    work.touches(c.srcDevice, span(c.WidthInBytes, c.Height, c.Depth, c.srcPitch, c.srcHeight,
                                   c.srcXInBytes, c.srcY, c.srcZ));
  }
  if (is_address(c.dstMemoryType)) {
    work.touches(c.dstDevice, span(c.WidthInBytes, c.Height, c.Depth, c.dstPitch, c.dstHeight,
                                   c.dstXInBytes, c.dstY, c.dstZ));
  }
}

}  // namespace

// One hook: SYMBOL with PARAMETERS goes to STREAM; EVIDENCE says what it touches.
#define HOOK_WORK(symbol, meaning, stream, parameters, arguments, ...) \
  CUresult symbol parameters {                                         \
    if (real().symbol == nullptr) return kNoDriver;                    \
    Submission work;                                                   \
    work.on(stream, DefaultStream::meaning);                           \
    __VA_ARGS__;                                                       \
    return real().symbol arguments;                                    \
  }
// Both variants: the plain one and the one in which NULL is the thread's own stream.
#define HOOK_SYNC(symbol, parameters, arguments, ...)                              \
  HOOK_WORK(symbol, legacy, nullptr, parameters, arguments, __VA_ARGS__)           \
  HOOK_WORK(symbol##_ptds, per_thread, nullptr, parameters, arguments, __VA_ARGS__)
#define HOOK_ASYNC(symbol, parameters, arguments, ...)                             \
  HOOK_WORK(symbol, legacy, stream, parameters, arguments, __VA_ARGS__)            \
  HOOK_WORK(symbol##_ptsz, per_thread, stream, parameters, arguments, __VA_ARGS__)

extern "C" {

#define BOTH_ENDS work.touches(to, size), work.touches(from, size)
HOOK_SYNC(cuMemcpy, (CUdeviceptr to, CUdeviceptr from, size_t size), (to, from, size), BOTH_ENDS)
HOOK_ASYNC(cuMemcpyAsync, (CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream),
           (to, from, size, stream), BOTH_ENDS)
HOOK_SYNC(cuMemcpyHtoD_v2, (CUdeviceptr to, const void* from, size_t size), (to, from, size), BOTH_ENDS)
HOOK_ASYNC(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void* from, size_t size, CUstream stream),
           (to, from, size, stream), BOTH_ENDS)
HOOK_SYNC(cuMemcpyDtoH_v2, (void* to, CUdeviceptr from, size_t size), (to, from, size), BOTH_ENDS)
HOOK_ASYNC(cuMemcpyDtoHAsync_v2, (void* to, CUdeviceptr from, size_t size, CUstream stream),
           (to, from, size, stream), BOTH_ENDS)
HOOK_SYNC(cuMemcpyDtoD_v2, (CUdeviceptr to, CUdeviceptr from, size_t size), (to, from, size), BOTH_ENDS)
HOOK_ASYNC(cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream),
           (to, from, size, stream), BOTH_ENDS)
HOOK_SYNC(cuMemcpyPeer,
          (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t size),
          (to, to_context, from, from_context, size), BOTH_ENDS)
HOOK_ASYNC(cuMemcpyPeerAsync,
           (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t size,
            CUstream stream),
           (to, to_context, from, from_context, size, stream), BOTH_ENDS)

HOOK_SYNC(cuMemcpy2D_v2, (const CUDA_MEMCPY2D* copy), (copy), touches(work, copy))
HOOK_SYNC(cuMemcpy2DUnaligned_v2, (const CUDA_MEMCPY2D* copy), (copy), touches(work, copy))
HOOK_ASYNC(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D* copy, CUstream stream), (copy, stream),
           touches(work, copy))
HOOK_SYNC(cuMemcpy3D_v2, (const CUDA_MEMCPY3D* copy), (copy), touches(work, copy))
HOOK_ASYNC(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D* copy, CUstream stream), (copy, stream),
           touches(work, copy))
HOOK_SYNC(cuMemcpy3DPeer, (const CUDA_MEMCPY3D_PEER* copy), (copy), touches(work, copy))
HOOK_ASYNC(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D_PEER* copy, CUstream stream), (copy, stream),
           touches(work, copy))

// The four sets of one element size.
#define HOOK_MEMSETS(bits, type)                                                                        \
  HOOK_SYNC(cuMemsetD##bits##_v2, (CUdeviceptr to, type value, size_t count), (to, value, count),       \
            work.touches(to, count * sizeof(type)))                                                     \
  HOOK_ASYNC(cuMemsetD##bits##Async, (CUdeviceptr to, type value, size_t count, CUstream stream),       \
             (to, value, count, stream), work.touches(to, count * sizeof(type)))                        \
  HOOK_SYNC(cuMemsetD2D##bits##_v2,                                                                     \
            (CUdeviceptr to, size_t pitch, type value, size_t width, size_t height),                    \
            (to, pitch, value, width, height), work.touches(to, pitch * height))                        \
  HOOK_ASYNC(cuMemsetD2D##bits##Async,                                                                  \
             (CUdeviceptr to, size_t pitch, type value, size_t width, size_t height, CUstream stream),  \
             (to, pitch, value, width, height, stream), work.touches(to, pitch * height))
HOOK_MEMSETS(8, unsigned char)
HOOK_MEMSETS(16, unsigned short)
HOOK_MEMSETS(32, unsigned int)
}
