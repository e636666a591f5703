// Nodes of any type by one structure: each entry is that of the type's own function.
#include <algorithm>

#include "api/graph_conditional.h"
#include "machine.h"

using namespace simgpu;

namespace {

// The newer structures have what the older ones have, and a context of their own.
CUDA_KERNEL_NODE_PARAMS kernel_of(const CUgraphNodeParams& given) {
  const CUDA_KERNEL_NODE_PARAMS_v3& v3 = given.kernel;
  CUDA_KERNEL_NODE_PARAMS kernel{};
  kernel.func = v3.func;
  kernel.gridDimX = v3.gridDimX;
  kernel.gridDimY = v3.gridDimY;
  kernel.gridDimZ = v3.gridDimZ;
  kernel.blockDimX = v3.blockDimX;
  kernel.blockDimY = v3.blockDimY;
  kernel.blockDimZ = v3.blockDimZ;
  kernel.sharedMemBytes = v3.sharedMemBytes;
  kernel.kernelParams = v3.kernelParams;
  kernel.extra = v3.extra;
  kernel.kern = v3.kern;
  kernel.ctx = v3.ctx;
  return kernel;
}

CUDA_MEMSET_NODE_PARAMS memset_of(const CUgraphNodeParams& given) {
  const CUDA_MEMSET_NODE_PARAMS_v2& v2 = given.memset;
  return {v2.dst, v2.pitch, v2.value, v2.elementSize, v2.width, v2.height};
}

CUDA_HOST_NODE_PARAMS host_of(const CUgraphNodeParams& given) {
  return {given.host.fn, given.host.userData};
}

CUDA_BATCH_MEM_OP_NODE_PARAMS operations_of(const CUgraphNodeParams& given) {
  const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2& v2 = given.memOp;
  return {v2.ctx, v2.count, v2.paramArray, v2.flags};
}

// "Reserved. Must be zero."
bool is_well_formed(const CUgraphNodeParams* given) {
  return given != nullptr && given->reserved2 == 0 &&
         std::all_of(std::begin(given->reserved0), std::end(given->reserved0),
                     [](int word) { return word == 0; });
}

CUresult add(const char* function, CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
             std::size_t count, CUgraphNodeParams* given) {
  if (!is_well_formed(given)) return CUDA_ERROR_INVALID_VALUE;
  switch (given->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      const auto kernel = kernel_of(*given);
      return cuGraphAddKernelNode_v2(out, graph, after, count, &kernel);
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphAddMemcpyNode(out, graph, after, count, &given->memcpy.copyParams,
                                  given->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const auto set = memset_of(*given);
      return cuGraphAddMemsetNode(out, graph, after, count, &set, given->memset.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const auto host = host_of(*given);
      return cuGraphAddHostNode(out, graph, after, count, &host);
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return cuGraphAddChildGraphNode(out, graph, after, count, given->graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return cuGraphAddEmptyNode(out, graph, after, count);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return cuGraphAddEventWaitNode(out, graph, after, count, given->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return cuGraphAddEventRecordNode(out, graph, after, count, given->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
      const auto operations = operations_of(*given);
      return cuGraphAddBatchMemOpNode(out, graph, after, count, &operations);
    }
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return add_conditional_node(function, out, graph, after, count, &given->conditional);
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

}  // namespace

extern "C" {

CUresult cuGraphAddNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                        std::size_t count, CUgraphNodeParams* given) {
  return add(__func__, out, graph, after, count, given);
}

CUresult cuGraphAddNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                           const CUgraphEdgeData* edges, std::size_t count,
                           CUgraphNodeParams* given) {
  // Only edges that order whole nodes.
  for (std::size_t i = 0; edges != nullptr && i < count; ++i) {
    if (edges[i].type != CU_GRAPH_DEPENDENCY_TYPE_DEFAULT || edges[i].from_port != 0 ||
        edges[i].to_port != 0) {
      return CUDA_ERROR_NOT_SUPPORTED;
    }
  }
  return add(__func__, out, graph, after, count, given);
}

CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams* given) {
  if (!is_well_formed(given)) return CUDA_ERROR_INVALID_VALUE;
  switch (given->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      const auto kernel = kernel_of(*given);
      return cuGraphKernelNodeSetParams_v2(node, &kernel);
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphMemcpyNodeSetParams(node, &given->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const auto set = memset_of(*given);
      return cuGraphMemsetNodeSetParams(node, &set);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const auto host = host_of(*given);
      return cuGraphHostNodeSetParams(node, &host);
    }
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return cuGraphEventWaitNodeSetEvent(node, given->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return cuGraphEventRecordNodeSetEvent(node, given->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
      const auto operations = operations_of(*given);
      return cuGraphBatchMemOpNodeSetParams(node, &operations);
    }
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams* given) {
  if (!is_well_formed(given)) return CUDA_ERROR_INVALID_VALUE;
  switch (given->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      const auto kernel = kernel_of(*given);
      return cuGraphExecKernelNodeSetParams_v2(exec, node, &kernel);
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphExecMemcpyNodeSetParams(exec, node, &given->memcpy.copyParams,
                                            given->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const auto set = memset_of(*given);
      return cuGraphExecMemsetNodeSetParams(exec, node, &set, given->memset.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST: {
      const auto host = host_of(*given);
      return cuGraphExecHostNodeSetParams(exec, node, &host);
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return cuGraphExecChildGraphNodeSetParams(exec, node, given->graph.graph);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return cuGraphExecEventWaitNodeSetEvent(exec, node, given->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return cuGraphExecEventRecordNodeSetEvent(exec, node, given->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
      const auto operations = operations_of(*given);
      return cuGraphExecBatchMemOpNodeSetParams(exec, node, &operations);
    }
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}
}
