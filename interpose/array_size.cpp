#include "interpose/array_size.h"

#include <algorithm>

namespace vhbm::interpose {
namespace {

std::uint64_t bytes_of(CUarray_format format) {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return 4;
    default:
      return 0;
  }
}

}  // namespace

Bytes array_size(const CUDA_ARRAY3D_DESCRIPTOR& shape, unsigned levels) {
  if ((shape.Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) != 0) return {};
  std::uint64_t elements = 0;
  const bool layered = (shape.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) != 0;
  for (unsigned level = 0; level < std::min(levels, 64u); ++level) {
    const auto side = [level](std::size_t of_first) -> std::uint64_t {
      return std::max<std::uint64_t>(of_first >> level, 1);
    };
    // Layers and faces are not halved from level to level.
    const std::uint64_t depth =
        layered ? std::max<std::uint64_t>(shape.Depth, 1) : side(shape.Depth);
    elements += side(shape.Width) * side(shape.Height) * depth;
  }
  return {elements * bytes_of(shape.Format) * shape.NumChannels};
}

}  // namespace vhbm::interpose
