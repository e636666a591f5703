// Batches of copies. The batch runs in the stream's order, its copies in none: under the fuzzer in
// a random one.
#include <utility>

#include "api/copy.h"
#include "api/place.h"
#include "engine/fuzzer.h"

#if CUDA_VERSION >= 12080

namespace simgpu {
namespace {

constexpr std::size_t kNoCopy = SIZE_MAX;  // failIdx when it is none of the copies

struct BatchedCopy {
  CopyWork work;
  CUmemcpySrcAccessOrder order;
};

bool is_order(CUmemcpySrcAccessOrder order) {
  return order >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM && order <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

// Nothing is submitted unless all of it can be.
CUresult submit_batch(Call& call, std::vector<BatchedCopy> batch, CUstream handle,
                      std::size_t* failed) {
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  if (stream->kind == StreamKind::legacy) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const CopyWork& work = batch[i].work;
    if (is_order(batch[i].order) && work.width > 0 && work.to != nullptr && work.from != nullptr &&
        can_copy(work)) {
      continue;
    }
    *failed = i;
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (Fuzzer::enabled()) {
    for (std::size_t i = batch.size(); i > 1; --i) std::swap(batch[i - 1], batch[Fuzzer::pick(i)]);
  }
  const bool captured = stream->capture != nullptr;
  OperationPtr last_read_now;  // the source is device memory, to be read before the call returns
  for (BatchedCopy& copy : batch) {
    const bool read_now = copy.order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL && !captured;
    const bool from_device = place_of(copy.work.from) == Place::device;
    if (read_now && !from_device) stage(&copy.work);
    OperationPtr operation;
    const CUresult result = submit(call.context(), *stream, std::move(copy.work),
                                   CU_GRAPH_NODE_TYPE_MEMCPY, &operation);
    if (result != CUDA_SUCCESS) return result;
    if (read_now && from_device) last_read_now = operation;
  }
  return wait_for(call, last_read_now);
}

CUresult linear_batch(const char* function, CUdeviceptr* to, CUdeviceptr* from, std::size_t* sizes,
                      std::size_t count, CUmemcpyAttributes* attributes, std::size_t* firsts,
                      std::size_t attribute_count, std::size_t* failed, CUstream stream) {
  *failed = kNoCopy;
  SIMGPU_CALL_OF(function, context);
  if (to == nullptr || from == nullptr || sizes == nullptr || attributes == nullptr ||
      firsts == nullptr || attribute_count == 0 || attribute_count > count || firsts[0] != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (std::size_t i = 1; i < attribute_count; ++i) {
    if (firsts[i] <= firsts[i - 1] || firsts[i] >= count) return CUDA_ERROR_INVALID_VALUE;
  }
  std::vector<BatchedCopy> batch;
  std::size_t attribute = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (attribute + 1 < attribute_count && firsts[attribute + 1] == i) ++attribute;
    batch.push_back(
        {linear(reinterpret_cast<void*>(to[i]), reinterpret_cast<void*>(from[i]), sizes[i]),
         attributes[attribute].srcAccessOrder});
  }
  return submit_batch(call, std::move(batch), stream, failed);
}

// One end of a copy; false unless rows and layers hold the copy's.
bool describe_operand(const CUmemcpy3DOperand& operand, const CUextent3D& extent, void** pointer,
                      std::size_t* pitch, std::size_t* slice) {
  const auto& given = operand.op.ptr;
  *pitch = given.rowLength != 0 ? given.rowLength : extent.width;
  const std::size_t height = given.layerHeight != 0 ? given.layerHeight : extent.height;
  *slice = *pitch * height;
  *pointer = reinterpret_cast<void*>(given.ptr);
  return *pitch >= extent.width && height >= extent.height;
}

CUresult shaped_batch(const char* function, std::size_t count, CUDA_MEMCPY3D_BATCH_OP* operations,
                      std::size_t* failed, unsigned long long flags, CUstream stream) {
  *failed = kNoCopy;
  SIMGPU_CALL_OF(function, context);
  if (operations == nullptr || count == 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  std::vector<BatchedCopy> batch;
  for (std::size_t i = 0; i < count; ++i) {
    const CUDA_MEMCPY3D_BATCH_OP& given = operations[i];
    *failed = i;
    if (given.src.type != CU_MEMCPY_OPERAND_TYPE_POINTER ||
        given.dst.type != CU_MEMCPY_OPERAND_TYPE_POINTER) {
      return CUDA_ERROR_NOT_SUPPORTED;
    }
    CopyWork work;
    void* from = nullptr;
    if (given.extent.width == 0 || given.extent.height == 0 || given.extent.depth == 0 ||
        !describe_operand(given.src, given.extent, &from, &work.from_pitch, &work.from_slice) ||
        !describe_operand(given.dst, given.extent, &work.to, &work.to_pitch, &work.to_slice)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    work.from = from;
    work.width = given.extent.width;
    work.height = given.extent.height;
    work.depth = given.extent.depth;
    batch.push_back({std::move(work), given.srcAccessOrder});
  }
  *failed = kNoCopy;
  return submit_batch(call, std::move(batch), stream, failed);
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuMemcpyBatchAsync(CUdeviceptr* to, CUdeviceptr* from, std::size_t* sizes,
                            std::size_t count, CUmemcpyAttributes* attributes, std::size_t* firsts,
                            std::size_t attribute_count, std::size_t* failed, CUstream stream) {
  std::size_t ignored = 0;
  return linear_batch(__func__, to, from, sizes, count, attributes, firsts, attribute_count,
                      failed != nullptr ? failed : &ignored, stream);
}

CUresult cuMemcpy3DBatchAsync(std::size_t count, CUDA_MEMCPY3D_BATCH_OP* operations,
                              std::size_t* failed, unsigned long long flags, CUstream stream) {
  std::size_t ignored = 0;
  return shaped_batch(__func__, count, operations, failed != nullptr ? failed : &ignored, flags,
                      stream);
}

#if CUDA_VERSION >= 13000
CUresult cuMemcpyBatchAsync_v2(CUdeviceptr* to, CUdeviceptr* from, std::size_t* sizes,
                               std::size_t count, CUmemcpyAttributes* attributes,
                               std::size_t* firsts, std::size_t attribute_count, CUstream stream) {
  std::size_t ignored = 0;
  return linear_batch(__func__, to, from, sizes, count, attributes, firsts, attribute_count,
                      &ignored, stream);
}

CUresult cuMemcpy3DBatchAsync_v2(std::size_t count, CUDA_MEMCPY3D_BATCH_OP* operations,
                                 unsigned long long flags, CUstream stream) {
  std::size_t ignored = 0;
  return shaped_batch(__func__, count, operations, &ignored, flags, stream);
}
#endif
}

#endif
