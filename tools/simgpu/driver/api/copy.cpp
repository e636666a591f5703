// Copies and memory sets. What a call waits for follows the driver's "API synchronization
// behavior": pageable sources are staged at the call, device-to-device copies and sets do not wait
// at all.
#include <cstring>

#include "api/copy.h"
#include "api/launch.h"
#include "api/place.h"

namespace simgpu {

std::size_t span_of(std::size_t width, std::size_t height, std::size_t depth, std::size_t pitch,
                    std::size_t slice) {
  return (depth - 1) * slice + (height - 1) * pitch + width;
}

void stage(CopyWork* copy) {
  auto bytes = std::make_shared<std::vector<char>>(copy->width * copy->height * copy->depth);
  char* to = bytes->data();
  for (std::size_t slice = 0; slice < copy->depth; ++slice) {
    for (std::size_t row = 0; row < copy->height; ++row, to += copy->width) {
      std::memcpy(
          to,
          static_cast<const char*>(copy->from) + slice * copy->from_slice + row * copy->from_pitch,
          copy->width);
    }
  }
  copy->from = bytes->data();
  copy->from_pitch = copy->width;
  copy->from_slice = copy->width * copy->height;
  copy->staging = std::move(bytes);
}

bool can_copy(const CopyWork& work) {
  const auto fits = [&](const void* pointer, std::size_t pitch, std::size_t slice) {
    return place_of(pointer) != Place::device ||
           device_range_is_mapped(pointer,
                                  span_of(work.width, work.height, work.depth, pitch, slice));
  };
  return fits(work.to, work.to_pitch, work.to_slice) &&
         fits(work.from, work.from_pitch, work.from_slice);
}

CUresult copy(Call& call, CopyWork work, CUstream handle, Timing timing) {
  if (work.width == 0 || work.height == 0 || work.depth == 0) return CUDA_SUCCESS;
  if (work.to == nullptr || work.from == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Place to = place_of(work.to), from = place_of(work.from);
  if (!can_copy(work)) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (CUresult result = check_legacy_use(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  if (timing == Timing::synchronous) {
    if (CUresult result = call.unsafe_while_capturing(); result != CUDA_SUCCESS) return result;
  }
  const bool captured = stream->capture != nullptr;
  if (from == Place::pageable && to == Place::device && !captured) {
    if (timing == Timing::synchronous) wait_for(call, stream->submit(EmptyWork{}));
    stage(&work);
  }
  const bool wait =
      from == Place::pageable || to == Place::pageable
          ? to != Place::device
          : timing == Timing::synchronous && !(from == Place::device && to == Place::device);
  OperationPtr operation;
  CUresult result =
      submit(call.context(), *stream, std::move(work), CU_GRAPH_NODE_TYPE_MEMCPY, &operation);
  if (result != CUDA_SUCCESS || !wait) return result;
  return wait_for(call, operation);
}

CopyWork linear(void* to, const void* from, std::size_t size) {
  CopyWork work;
  work.to = to;
  work.from = from;
  work.width = work.to_pitch = work.from_pitch = work.to_slice = work.from_slice = size;
  work.described.WidthInBytes = size;
  work.described.Height = work.described.Depth = 1;
  work.described.srcMemoryType = work.described.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
  work.described.srcDevice = reinterpret_cast<CUdeviceptr>(from);
  work.described.dstDevice = reinterpret_cast<CUdeviceptr>(to);
  return work;
}

namespace {

void* pointer(CUdeviceptr address) {
  return reinterpret_cast<void*>(address);
}

// One end of a described copy: where its first byte is, or null when it is an array.
char* origin(CUmemorytype type, CUdeviceptr device, const void* host, std::size_t x, std::size_t y,
             std::size_t z, std::size_t pitch, std::size_t height) {
  char* base = nullptr;
  if (type == CU_MEMORYTYPE_HOST) base = static_cast<char*>(const_cast<void*>(host));
  if (type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED) {
    base = static_cast<char*>(pointer(device));
  }
  return base == nullptr ? nullptr : base + (z * height + y) * pitch + x;
}

CUresult memset(Call& call, CUdeviceptr to, std::size_t pitch, std::uint32_t value,
                unsigned element, std::size_t width, std::size_t height, CUstream handle) {
  if (to % element != 0 || (height > 1 && pitch < width * element)) return CUDA_ERROR_INVALID_VALUE;
  if (width == 0 || height == 0) return CUDA_SUCCESS;
  const std::size_t span = (height - 1) * pitch + width * element;
  if (!is_usable_by_device(pointer(to), span)) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  OperationPtr operation;
  return submit(call.context(), *stream,
                MemsetWork{pointer(to), value, element, width, height, pitch},
                CU_GRAPH_NODE_TYPE_MEMSET, &operation);
}

}  // namespace

CUresult describe_copy(const CUDA_MEMCPY3D& copy, CopyWork* work) {
  work->described = copy;
  work->width = copy.WidthInBytes;
  work->height = copy.Height;
  work->depth = copy.Depth;
  const std::size_t to_pitch =
      copy.dstPitch != 0 ? copy.dstPitch : copy.WidthInBytes + copy.dstXInBytes;
  const std::size_t from_pitch =
      copy.srcPitch != 0 ? copy.srcPitch : copy.WidthInBytes + copy.srcXInBytes;
  const std::size_t to_height = copy.dstHeight != 0 ? copy.dstHeight : copy.Height + copy.dstY;
  const std::size_t from_height = copy.srcHeight != 0 ? copy.srcHeight : copy.Height + copy.srcY;
  if (copy.srcMemoryType == CU_MEMORYTYPE_ARRAY || copy.dstMemoryType == CU_MEMORYTYPE_ARRAY) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  const bool rows = copy.Height > 1 || copy.Depth > 1;
  if (rows && (to_pitch < copy.WidthInBytes + copy.dstXInBytes ||
               from_pitch < copy.WidthInBytes + copy.srcXInBytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work->to = origin(copy.dstMemoryType, copy.dstDevice, copy.dstHost, copy.dstXInBytes, copy.dstY,
                    copy.dstZ, to_pitch, to_height);
  work->from = origin(copy.srcMemoryType, copy.srcDevice, copy.srcHost, copy.srcXInBytes, copy.srcY,
                      copy.srcZ, from_pitch, from_height);
  work->to_pitch = to_pitch;
  work->from_pitch = from_pitch;
  work->to_slice = to_pitch * to_height;
  work->from_slice = from_pitch * from_height;
  return CUDA_SUCCESS;
}

CUresult copy(Call& call, const CUDA_MEMCPY3D& described, CUstream stream, Timing timing) {
  CopyWork work;
  if (CUresult result = describe_copy(described, &work); result != CUDA_SUCCESS) return result;
  return copy(call, std::move(work), stream, timing);
}

namespace {

CUDA_MEMCPY3D as_3d(const CUDA_MEMCPY2D& flat) {
  CUDA_MEMCPY3D copy{};
  copy.srcXInBytes = flat.srcXInBytes;
  copy.srcY = flat.srcY;
  copy.srcMemoryType = flat.srcMemoryType;
  copy.srcHost = flat.srcHost;
  copy.srcDevice = flat.srcDevice;
  copy.srcPitch = flat.srcPitch;
  copy.dstXInBytes = flat.dstXInBytes;
  copy.dstY = flat.dstY;
  copy.dstMemoryType = flat.dstMemoryType;
  copy.dstHost = flat.dstHost;
  copy.dstDevice = flat.dstDevice;
  copy.dstPitch = flat.dstPitch;
  copy.WidthInBytes = flat.WidthInBytes;
  copy.Height = flat.Height;
  copy.Depth = 1;
  return copy;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

// A linear copy, with its synchronous and its asynchronous form.
#define LINEAR_COPY(name, async_name, to_type, to_pointer, from_type, from_pointer)          \
  CUresult name(to_type to, from_type from, std::size_t size) {                              \
    SIMGPU_CALL(context);                                                                    \
    return copy(call, linear(to_pointer, from_pointer, size), nullptr, Timing::synchronous); \
  }                                                                                          \
  CUresult async_name(to_type to, from_type from, std::size_t size, CUstream stream) {       \
    SIMGPU_CALL(context);                                                                    \
    return copy(call, linear(to_pointer, from_pointer, size), stream, Timing::asynchronous); \
  }

LINEAR_COPY(cuMemcpy, cuMemcpyAsync, CUdeviceptr, pointer(to), CUdeviceptr, pointer(from))
LINEAR_COPY(cuMemcpyHtoD_v2, cuMemcpyHtoDAsync_v2, CUdeviceptr, pointer(to), const void*, from)
LINEAR_COPY(cuMemcpyDtoH_v2, cuMemcpyDtoHAsync_v2, void*, to, CUdeviceptr, pointer(from))
LINEAR_COPY(cuMemcpyDtoD_v2, cuMemcpyDtoDAsync_v2, CUdeviceptr, pointer(to), CUdeviceptr,
            pointer(from))

#define DESCRIBED_COPY(name, description, conversion)            \
  CUresult name(const description* parameters) {                 \
    SIMGPU_CALL(context);                                        \
    if (parameters == nullptr) return CUDA_ERROR_INVALID_VALUE;  \
    return copy(call, conversion, nullptr, Timing::synchronous); \
  }
#define DESCRIBED_ASYNC_COPY(name, description, conversion)       \
  CUresult name(const description* parameters, CUstream stream) { \
    SIMGPU_CALL(context);                                         \
    if (parameters == nullptr) return CUDA_ERROR_INVALID_VALUE;   \
    return copy(call, conversion, stream, Timing::asynchronous);  \
  }
DESCRIBED_COPY(cuMemcpy2D_v2, CUDA_MEMCPY2D, as_3d(*parameters))
DESCRIBED_COPY(cuMemcpy2DUnaligned_v2, CUDA_MEMCPY2D, as_3d(*parameters))
DESCRIBED_COPY(cuMemcpy3D_v2, CUDA_MEMCPY3D, *parameters)
DESCRIBED_ASYNC_COPY(cuMemcpy2DAsync_v2, CUDA_MEMCPY2D, as_3d(*parameters))
DESCRIBED_ASYNC_COPY(cuMemcpy3DAsync_v2, CUDA_MEMCPY3D, *parameters)

// A memory set of one element size: linear and 2D, synchronous and asynchronous.
#define MEMSET(bits, type)                                                                    \
  CUresult cuMemsetD##bits##_v2(CUdeviceptr to, type value, std::size_t count) {              \
    SIMGPU_CALL(context);                                                                     \
    return simgpu::memset(call, to, 0, value, sizeof(type), count, 1, nullptr);               \
  }                                                                                           \
  CUresult cuMemsetD##bits##Async(CUdeviceptr to, type value, std::size_t count,              \
                                  CUstream stream) {                                          \
    SIMGPU_CALL(context);                                                                     \
    return simgpu::memset(call, to, 0, value, sizeof(type), count, 1, stream);                \
  }                                                                                           \
  CUresult cuMemsetD2D##bits##_v2(CUdeviceptr to, std::size_t pitch, type value,              \
                                  std::size_t width, std::size_t height) {                    \
    SIMGPU_CALL(context);                                                                     \
    return simgpu::memset(call, to, pitch, value, sizeof(type), width, height, nullptr);      \
  }                                                                                           \
  CUresult cuMemsetD2D##bits##Async(CUdeviceptr to, std::size_t pitch, type value,            \
                                    std::size_t width, std::size_t height, CUstream stream) { \
    SIMGPU_CALL(context);                                                                     \
    return simgpu::memset(call, to, pitch, value, sizeof(type), width, height, stream);       \
  }
MEMSET(8, unsigned char)
MEMSET(16, unsigned short)
MEMSET(32, unsigned int)
}
