// Fills: exact ranges. The two-dimensional ones write rows.
#include "interpose/submit.h"

using vhbm::Access;
using vhbm::interpose::touch;
using vhbm::interpose::touch_rows;

extern "C" {

#define VHBM_MEMSET(bits, type)                                                               \
  VHBM_SUBMITS(cuMemsetD##bits##_v2, _ptds, (CUdeviceptr to, type value, std::size_t count),  \
               (to, value, count), nullptr,                                                   \
               touch(runtime, to, count * sizeof(type), Access::zeroed))                      \
  VHBM_SUBMITS(cuMemsetD##bits##Async, _ptsz,                                                 \
               (CUdeviceptr to, type value, std::size_t count, CUstream stream),              \
               (to, value, count, stream), stream,                                            \
               touch(runtime, to, count * sizeof(type), Access::zeroed))                      \
  VHBM_SUBMITS(                                                                               \
      cuMemsetD2D##bits##_v2, _ptds,                                                          \
      (CUdeviceptr to, std::size_t pitch, type value, std::size_t width, std::size_t height), \
      (to, pitch, value, width, height), nullptr,                                             \
      touch_rows(runtime, to, pitch, width * sizeof(type), height, Access::zeroed))           \
  VHBM_SUBMITS(cuMemsetD2D##bits##Async, _ptsz,                                               \
               (CUdeviceptr to, std::size_t pitch, type value, std::size_t width,             \
                std::size_t height, CUstream stream),                                         \
               (to, pitch, value, width, height, stream), stream,                             \
               touch_rows(runtime, to, pitch, width * sizeof(type), height, Access::zeroed))

VHBM_MEMSET(8, unsigned char)
VHBM_MEMSET(16, unsigned short)
VHBM_MEMSET(32, unsigned int)

}  // extern "C"
