// The device ranges of CUDA's copy descriptors. The sides that are arrays are the driver's own
// memory. Hot: no lock, no allocation.
#pragma once

#include <cuda.h>

#include "interpose/submit.h"

namespace vhbm::interpose {

// The address of one side of a 2D or 3D copy, 0 for an array.
inline CUdeviceptr side(CUmemorytype type, CUdeviceptr device, const void* host) noexcept {
  if (type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED) return device;
  return type == CU_MEMORYTYPE_HOST ? reinterpret_cast<CUdeviceptr>(host) : 0;
}

inline void touch_copy(Runtime& runtime, const CUDA_MEMCPY2D* copy) noexcept {
  if (copy == nullptr) return;
  const CUdeviceptr to = side(copy->dstMemoryType, copy->dstDevice, copy->dstHost);
  const CUdeviceptr from = side(copy->srcMemoryType, copy->srcDevice, copy->srcHost);
  touch_rows(runtime, to + copy->dstY * copy->dstPitch + copy->dstXInBytes, copy->dstPitch,
             copy->WidthInBytes, copy->Height, filling(runtime, from));
  touch_rows(runtime, from + copy->srcY * copy->srcPitch + copy->srcXInBytes, copy->srcPitch,
             copy->WidthInBytes, copy->Height);
}

// One side of a 3D copy: slices of `rows` rows of `pitch` bytes, from which a box is taken.
struct Box {
  CUdeviceptr address;
  std::size_t pitch, rows, x, y, z;
};

inline void touch_box(Runtime& runtime, const Box& box, std::size_t width, std::size_t height,
                      std::size_t depth, Access access = Access::read) noexcept {
  if (height == 0 || depth == 0) return;
  const std::size_t first = (box.z * box.rows + box.y) * box.pitch + box.x;
  const std::size_t last_row = ((depth - 1) * box.rows + height - 1) * box.pitch;
  touch(runtime, box.address + first, last_row + width, access);
}

// CUDA_MEMCPY3D or CUDA_MEMCPY3D_PEER, which differ in their contexts only.
template <typename Copy3D>
void touch_copy_3d(Runtime& runtime, const Copy3D* copy) noexcept {
  if (copy == nullptr) return;
  const CUdeviceptr to = side(copy->dstMemoryType, copy->dstDevice, copy->dstHost);
  const CUdeviceptr from = side(copy->srcMemoryType, copy->srcDevice, copy->srcHost);
  touch_box(runtime,
            {to, copy->dstPitch, copy->dstHeight, copy->dstXInBytes, copy->dstY, copy->dstZ},
            copy->WidthInBytes, copy->Height, copy->Depth, filling(runtime, from));
  touch_box(runtime,
            {from, copy->srcPitch, copy->srcHeight, copy->srcXInBytes, copy->srcY, copy->srcZ},
            copy->WidthInBytes, copy->Height, copy->Depth);
}

#if CUDA_VERSION >= 12080
inline void touch_batch(Runtime& runtime, const CUdeviceptr* to, const CUdeviceptr* from,
                        const std::size_t* sizes, std::size_t count) noexcept {
  if (to == nullptr || from == nullptr || sizes == nullptr) return;
  for (std::size_t i = 0; i < count; ++i) {
    touch_both(runtime, to[i], from[i], sizes[i]);
  }
}

inline void touch_operand(Runtime& runtime, const CUmemcpy3DOperand& operand,
                          const CUextent3D& extent, Access access) noexcept {
  if (operand.type != CU_MEMCPY_OPERAND_TYPE_POINTER) return;
  // Lengths are in elements of one byte for pointers; 0 means tightly packed.
  const std::size_t pitch = operand.op.ptr.rowLength != 0 ? operand.op.ptr.rowLength : extent.width;
  const std::size_t rows =
      operand.op.ptr.layerHeight != 0 ? operand.op.ptr.layerHeight : extent.height;
  touch_box(runtime, {operand.op.ptr.ptr, pitch, rows, 0, 0, 0}, extent.width, extent.height,
            extent.depth, access);
}

inline void touch_3d_batch(Runtime& runtime, const CUDA_MEMCPY3D_BATCH_OP* copies,
                           std::size_t count) noexcept {
  if (copies == nullptr) return;
  for (std::size_t i = 0; i < count; ++i) {
    touch_operand(runtime, copies[i].dst, copies[i].extent, Access::written);
    touch_operand(runtime, copies[i].src, copies[i].extent, Access::read);
  }
}
#endif

}  // namespace vhbm::interpose
