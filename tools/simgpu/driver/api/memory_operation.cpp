// Stream memory operations, alone and in batches. The second versions know memory barriers and no
// CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER; else the versions do the same.
#include "engine/memory_operation.h"

#include <algorithm>

#include "api/graph_node.h"
#include "api/place.h"
#include "engine/submit.h"

namespace simgpu {
namespace {

enum class Version { first, second };

constexpr unsigned kMostOperations = 255;  // cuStreamBatchMemOp: "Must be less than 256."

bool describe(const CUstreamBatchMemOpParams& given, Version version, MemoryOperation* operation) {
  const CUstreamBatchMemOpType type = given.operation;
  switch (type) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      operation->kind = MemoryOperation::Kind::wait;
      operation->bytes = type == CU_STREAM_MEM_OP_WAIT_VALUE_64 ? 8 : 4;
      operation->address = given.waitValue.address;
      operation->value = operation->bytes == 8 ? given.waitValue.value64 : given.waitValue.value;
      // Remote writes are seen in order here, with a flush or without.
      operation->condition =
          given.waitValue.flags & ~static_cast<unsigned>(CU_STREAM_WAIT_VALUE_FLUSH);
      if (operation->condition > CU_STREAM_WAIT_VALUE_NOR) return false;
      break;
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
      operation->kind = MemoryOperation::Kind::write;
      operation->bytes = type == CU_STREAM_MEM_OP_WRITE_VALUE_64 ? 8 : 4;
      operation->address = given.writeValue.address;
      operation->value = operation->bytes == 8 ? given.writeValue.value64 : given.writeValue.value;
      if (given.writeValue.flags != CU_STREAM_WRITE_VALUE_DEFAULT &&
          (version == Version::second ||
           given.writeValue.flags != CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)) {
        return false;
      }
      break;
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
      return given.flushRemoteWrites.flags == 0;
    case CU_STREAM_MEM_OP_BARRIER:
      return version == Version::second &&
             given.memoryBarrier.flags <= CU_STREAM_MEMORY_BARRIER_TYPE_GPU;
    default:
      return false;
  }
  return operation->address % operation->bytes == 0 &&
         is_usable_by_device(reinterpret_cast<void*>(operation->address), operation->bytes);
}

CUresult describe_batch(const CUstreamBatchMemOpParams* given, unsigned count, unsigned flags,
                        Version version, MemoryOperationsWork* work) {
  if (given == nullptr || count > kMostOperations || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  work->operations.resize(count);
  work->described.assign(given, given + count);
  for (unsigned i = 0; i < count; ++i) {
    if (!describe(given[i], version, &work->operations[i])) return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

// A graph node's.
CUresult describe_batch(const CUDA_BATCH_MEM_OP_NODE_PARAMS* given, MemoryOperationsWork* work) {
  if (given == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return describe_batch(given->paramArray, given->count, given->flags, Version::second, work);
}

// cuGraphExecBatchMemOpNodeSetParams: "Other fields, such as the context, count or type of
// operations … may not be modified."
bool are_alike(const MemoryOperationsWork& one, const MemoryOperationsWork& other) {
  return std::equal(one.described.begin(), one.described.end(), other.described.begin(),
                    other.described.end(),
                    [](const auto& a, const auto& b) { return a.operation == b.operation; });
}

CUresult submit_batch(const char* function, CUstream handle, unsigned count,
                      const CUstreamBatchMemOpParams* given, unsigned flags, Version version) {
  SIMGPU_CALL_OF(function, context);
  std::shared_ptr<Stream> stream;
  if (CUresult result = resolve_stream(call, handle, &stream); result != CUDA_SUCCESS)
    return result;
  MemoryOperationsWork work;
  if (CUresult result = describe_batch(given, count, flags, version, &work);
      result != CUDA_SUCCESS) {
    return result;
  }
  OperationPtr operation;
  return submit(call.context(), *stream, std::move(work), CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
                &operation);
}

CUstreamBatchMemOpParams wait_for_value(CUstreamBatchMemOpType type, CUdeviceptr address,
                                        cuuint64_t value, unsigned flags) {
  CUstreamBatchMemOpParams wait{};
  wait.waitValue.operation = type;
  wait.waitValue.address = address;
  wait.waitValue.value64 = value;
  wait.waitValue.flags = flags;
  return wait;
}

CUstreamBatchMemOpParams write_value(CUstreamBatchMemOpType type, CUdeviceptr address,
                                     cuuint64_t value, unsigned flags) {
  CUstreamBatchMemOpParams write{};
  write.writeValue.operation = type;
  write.writeValue.address = address;
  write.writeValue.value64 = value;
  write.writeValue.flags = flags;
  return write;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

// One operation on a 32- or 64-bit word, in both versions.
#define MEMORY_OPERATION(function, type, word, make)                                         \
  CUresult function(CUstream stream, CUdeviceptr address, word value, unsigned flags) {      \
    const CUstreamBatchMemOpParams given = make(type, address, value, flags);                \
    return submit_batch(__func__, stream, 1, &given, 0, Version::first);                     \
  }                                                                                          \
  CUresult function##_v2(CUstream stream, CUdeviceptr address, word value, unsigned flags) { \
    const CUstreamBatchMemOpParams given = make(type, address, value, flags);                \
    return submit_batch(__func__, stream, 1, &given, 0, Version::second);                    \
  }
MEMORY_OPERATION(cuStreamWaitValue32, CU_STREAM_MEM_OP_WAIT_VALUE_32, cuuint32_t, wait_for_value)
MEMORY_OPERATION(cuStreamWaitValue64, CU_STREAM_MEM_OP_WAIT_VALUE_64, cuuint64_t, wait_for_value)
MEMORY_OPERATION(cuStreamWriteValue32, CU_STREAM_MEM_OP_WRITE_VALUE_32, cuuint32_t, write_value)
MEMORY_OPERATION(cuStreamWriteValue64, CU_STREAM_MEM_OP_WRITE_VALUE_64, cuuint64_t, write_value)

CUresult cuStreamBatchMemOp(CUstream stream, unsigned count, CUstreamBatchMemOpParams* operations,
                            unsigned flags) {
  return submit_batch(__func__, stream, count, operations, flags, Version::first);
}

CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned count,
                               CUstreamBatchMemOpParams* operations, unsigned flags) {
  return submit_batch(__func__, stream, count, operations, flags, Version::second);
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                  std::size_t count, const CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  SIMGPU_CALL(driver);
  MemoryOperationsWork work;
  if (CUresult result = describe_batch(given, &work); result != CUDA_SUCCESS) return result;
  return add_node(m, out, graph, after, count, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, std::move(work));
}

CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode handle, CUDA_BATCH_MEM_OP_NODE_PARAMS* out) {
  SIMGPU_CALL(driver);
  Node* node = find_node(m, handle);
  if (out == nullptr || node == nullptr || node->type != CU_GRAPH_NODE_TYPE_BATCH_MEM_OP) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto& described = std::get<MemoryOperationsWork>(node->work).described;
  *out = {};
  out->count = static_cast<unsigned>(described.size());
  out->paramArray = described.data();
  return CUDA_SUCCESS;
}

CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode node,
                                        const CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  SIMGPU_CALL(driver);
  MemoryOperationsWork work;
  if (CUresult result = describe_batch(given, &work); result != CUDA_SUCCESS) return result;
  return set_node(m, node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, std::move(work));
}

CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  SIMGPU_CALL(driver);
  MemoryOperationsWork work;
  if (CUresult result = describe_batch(given, &work); result != CUDA_SUCCESS) return result;
  const auto* before = exec_work<MemoryOperationsWork>(m, exec, node);
  if (before == nullptr || !are_alike(*before, work)) return CUDA_ERROR_INVALID_VALUE;
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, std::move(work));
}
}
