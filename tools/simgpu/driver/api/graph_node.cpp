// Nodes of graphs: added by hand, asked for their parameters, and changed.
#include "api/graph_node.h"

#include <algorithm>
#include <cstring>

#include "api/launch.h"
#include "lifecycle.h"

namespace simgpu {

Node* find_node(Machine& m, CUgraphNode handle) {
  auto it = m.nodes.find(handle);
  return it == m.nodes.end() ? nullptr : it->second;
}

namespace {

// A graph that is being captured has a handle too, which cuStreamGetCaptureInfo gives.
std::shared_ptr<Graph> find_graph(Machine& m, CUgraph handle) {
  for (const auto& capture : m.captures) {
    if (reinterpret_cast<CUgraph>(capture->graph.get()) == handle) return capture->graph;
  }
  return m.graphs.find(handle);
}

}  // namespace

CUresult add_node(Machine& m, CUgraphNode* out, CUgraph graph_handle,
                  const CUgraphNode* dependencies, std::size_t count, CUgraphNodeType type,
                  Work work, Node** added) {
  const auto graph = find_graph(m, graph_handle);
  if (out == nullptr || graph == nullptr || (count > 0 && dependencies == nullptr)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  std::vector<Node*> after;
  for (std::size_t i = 0; i < count; ++i) {
    Node* node = find_node(m, dependencies[i]);
    if (node == nullptr || node->graph != graph.get()) return CUDA_ERROR_INVALID_VALUE;
    if (std::find(after.begin(), after.end(), node) != after.end()) return CUDA_ERROR_INVALID_VALUE;
    after.push_back(node);
  }
  Node* node = graph->add(type, std::move(work), std::move(after));
  *out = handle_of(node);
  if (added != nullptr) *added = node;
  return CUDA_SUCCESS;
}

CUresult set_node(Machine& m, CUgraphNode handle, CUgraphNodeType type, Work work) {
  Node* node = find_node(m, handle);
  if (node == nullptr || node->type != type) return CUDA_ERROR_INVALID_VALUE;
  node->work = std::move(work);
  return CUDA_SUCCESS;
}

CUresult kernel_work(Machine& m, const CUDA_KERNEL_NODE_PARAMS& params, KernelWork* work) {
  CUfunction function =
      params.func != nullptr ? params.func : reinterpret_cast<CUfunction>(params.kern);
  const LaunchShape shape{function,
                          {params.gridDimX, params.gridDimY, params.gridDimZ},
                          {params.blockDimX, params.blockDimY, params.blockDimZ},
                          params.sharedMemBytes};
  return describe_launch(m, shape, params.kernelParams, params.extra, work);
}

CUresult memset_work(const CUDA_MEMSET_NODE_PARAMS& params, MemsetWork* work) {
  if (params.elementSize != 1 && params.elementSize != 2 && params.elementSize != 4) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *work = {reinterpret_cast<void*>(params.dst),
           params.value,
           params.elementSize,
           params.width,
           params.height,
           params.pitch};
  return CUDA_SUCCESS;
}

}  // namespace simgpu

using namespace simgpu;

namespace {

// The pointers stay the node's, as the driver's do.
CUDA_KERNEL_NODE_PARAMS kernel_params(Machine& m, Node& node) {
  auto& work = std::get<KernelWork>(node.work);
  CUDA_KERNEL_NODE_PARAMS params{};
  if (m.functions.find(work.function) != nullptr) {
    params.func = work.function;
  } else {
    params.kern = reinterpret_cast<CUkernel>(work.function);
  }
  params.gridDimX = work.grid.x;
  params.gridDimY = work.grid.y;
  params.gridDimZ = work.grid.z;
  params.blockDimX = work.block.x;
  params.blockDimY = work.block.y;
  params.blockDimZ = work.block.z;
  params.sharedMemBytes = work.shared_bytes;
  node.parameter_pointers.clear();
  for (std::uint32_t i = 0; i < work.kernel->parameter_count; ++i) {
    node.parameter_pointers.push_back(work.parameters.data() + work.kernel->parameters[i].offset);
  }
  params.kernelParams = node.parameter_pointers.data();
  return params;
}

CUDA_KERNEL_NODE_PARAMS with_kernel(const CUDA_KERNEL_NODE_PARAMS_v1& older) {
  CUDA_KERNEL_NODE_PARAMS params{};
  params.func = older.func;
  params.gridDimX = older.gridDimX;
  params.gridDimY = older.gridDimY;
  params.gridDimZ = older.gridDimZ;
  params.blockDimX = older.blockDimX;
  params.blockDimY = older.blockDimY;
  params.blockDimZ = older.blockDimZ;
  params.sharedMemBytes = older.sharedMemBytes;
  params.kernelParams = older.kernelParams;
  params.extra = older.extra;
  return params;
}

}  // namespace

extern "C" {

CUresult cuGraphAddKernelNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                                 std::size_t count, const CUDA_KERNEL_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  KernelWork work;
  if (CUresult result = kernel_work(m, *params, &work); result != CUDA_SUCCESS) return result;
  return add_node(m, out, graph, dependencies, count, CU_GRAPH_NODE_TYPE_KERNEL, std::move(work));
}

// The first versions, whose parameters know no CUkernel.
CUresult cuGraphAddKernelNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                              std::size_t count, const CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS newer = with_kernel(*params);
  return cuGraphAddKernelNode_v2(out, graph, dependencies, count, &newer);
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS newer = with_kernel(*params);
  return cuGraphKernelNodeSetParams_v2(node, &newer);
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                        const CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS newer = with_kernel(*params);
  return cuGraphExecKernelNodeSetParams_v2(exec, node, &newer);
}

CUresult cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1* out) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_KERNEL_NODE_PARAMS newer{};
  const CUresult result = cuGraphKernelNodeGetParams_v2(node, &newer);
  if (result != CUDA_SUCCESS) return result;
  *out = {newer.func,         newer.gridDimX,  newer.gridDimY,  newer.gridDimZ,
          newer.blockDimX,    newer.blockDimY, newer.blockDimZ, newer.sharedMemBytes,
          newer.kernelParams, newer.extra};
  return CUDA_SUCCESS;
}

CUresult cuGraphAddMemcpyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                              std::size_t count, const CUDA_MEMCPY3D* params, CUcontext) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CopyWork work;
  if (CUresult result = describe_copy(*params, &work); result != CUDA_SUCCESS) return result;
  return add_node(m, out, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEMCPY, std::move(work));
}

CUresult cuGraphAddMemsetNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                              std::size_t count, const CUDA_MEMSET_NODE_PARAMS* params, CUcontext) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  MemsetWork work;
  if (CUresult result = memset_work(*params, &work); result != CUDA_SUCCESS) return result;
  return add_node(m, out, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEMSET, work);
}

CUresult cuGraphAddHostNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                            std::size_t count, const CUDA_HOST_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return add_node(m, out, graph, dependencies, count, CU_GRAPH_NODE_TYPE_HOST,
                  HostWork{params->fn, params->userData});
}

CUresult cuGraphAddEmptyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                             std::size_t count) {
  SIMGPU_CALL(driver);
  return add_node(m, out, graph, dependencies, count, CU_GRAPH_NODE_TYPE_EMPTY, EmptyWork{});
}

CUresult cuGraphAddChildGraphNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                                  std::size_t count, CUgraph child_handle) {
  SIMGPU_CALL(driver);
  const auto child = m.graphs.find(child_handle);
  if (child == nullptr || child->has_conditional_nodes()) return CUDA_ERROR_INVALID_VALUE;
  Node* node = nullptr;
  const CUresult result =
      add_node(m, out, graph, dependencies, count, CU_GRAPH_NODE_TYPE_GRAPH, EmptyWork{}, &node);
  if (result == CUDA_SUCCESS) node->child = child->clone();
  return result;
}

CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode handle, CUgraph* out) {
  SIMGPU_CALL(driver);
  Node* node = find_node(m, handle);
  if (out == nullptr || node == nullptr || node->child == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = m.graphs.add(node->child);
  return CUDA_SUCCESS;
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode handle, CUDA_KERNEL_NODE_PARAMS* out) {
  SIMGPU_CALL(driver);
  Node* node = find_node(m, handle);
  if (out == nullptr || node == nullptr || node->type != CU_GRAPH_NODE_TYPE_KERNEL)
    return CUDA_ERROR_INVALID_VALUE;
  *out = kernel_params(m, *node);
  return CUDA_SUCCESS;
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  KernelWork work;
  if (CUresult result = kernel_work(m, *params, &work); result != CUDA_SUCCESS) return result;
  return set_node(m, node, CU_GRAPH_NODE_TYPE_KERNEL, std::move(work));
}

CUresult cuGraphMemcpyNodeGetParams(CUgraphNode handle, CUDA_MEMCPY3D* out) {
  SIMGPU_CALL(driver);
  const Node* node = find_node(m, handle);
  if (out == nullptr || node == nullptr || node->type != CU_GRAPH_NODE_TYPE_MEMCPY)
    return CUDA_ERROR_INVALID_VALUE;
  *out = std::get<CopyWork>(node->work).described;
  return CUDA_SUCCESS;
}

CUresult cuGraphMemsetNodeGetParams(CUgraphNode handle, CUDA_MEMSET_NODE_PARAMS* out) {
  SIMGPU_CALL(driver);
  const Node* node = find_node(m, handle);
  if (out == nullptr || node == nullptr || node->type != CU_GRAPH_NODE_TYPE_MEMSET)
    return CUDA_ERROR_INVALID_VALUE;
  const auto& work = std::get<MemsetWork>(node->work);
  *out = {reinterpret_cast<CUdeviceptr>(work.to),
          work.pitch,
          work.value,
          work.element,
          work.width,
          work.height};
  return CUDA_SUCCESS;
}

CUresult cuGraphHostNodeGetParams(CUgraphNode handle, CUDA_HOST_NODE_PARAMS* out) {
  SIMGPU_CALL(driver);
  const Node* node = find_node(m, handle);
  if (out == nullptr || node == nullptr || node->type != CU_GRAPH_NODE_TYPE_HOST)
    return CUDA_ERROR_INVALID_VALUE;
  const auto& work = std::get<HostWork>(node->work);
  *out = {work.function, work.data};
  return CUDA_SUCCESS;
}

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CopyWork work;
  if (CUresult result = describe_copy(*params, &work); result != CUDA_SUCCESS) return result;
  return set_node(m, node, CU_GRAPH_NODE_TYPE_MEMCPY, std::move(work));
}

CUresult cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  MemsetWork work;
  if (CUresult result = memset_work(*params, &work); result != CUDA_SUCCESS) return result;
  return set_node(m, node, CU_GRAPH_NODE_TYPE_MEMSET, work);
}

CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return set_node(m, node, CU_GRAPH_NODE_TYPE_HOST, HostWork{params->fn, params->userData});
}

// Nodes of events: ADD makes one, GET and SET ask for its event and change it.
#define EVENT_NODE(add, get_event, set_event, node_type, records)                              \
  CUresult add(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,               \
               std::size_t count, CUevent handle) {                                            \
    SIMGPU_CALL(driver);                                                                       \
    const auto event = m.events.find(handle);                                                  \
    if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;                                     \
    return add_node(m, out, graph, dependencies, count, node_type, EventWork{event, records}); \
  }                                                                                            \
  CUresult get_event(CUgraphNode handle, CUevent* out) {                                       \
    SIMGPU_CALL(driver);                                                                       \
    const Node* node = find_node(m, handle);                                                   \
    if (out == nullptr || node == nullptr || node->type != (node_type))                        \
      return CUDA_ERROR_INVALID_VALUE;                                                         \
    *out = reinterpret_cast<CUevent>(std::get<EventWork>(node->work).event.get());             \
    return CUDA_SUCCESS;                                                                       \
  }                                                                                            \
  CUresult set_event(CUgraphNode node, CUevent handle) {                                       \
    SIMGPU_CALL(driver);                                                                       \
    const auto event = m.events.find(handle);                                                  \
    if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;                                     \
    return set_node(m, node, node_type, EventWork{event, records});                            \
  }
EVENT_NODE(cuGraphAddEventRecordNode, cuGraphEventRecordNodeGetEvent,
           cuGraphEventRecordNodeSetEvent, CU_GRAPH_NODE_TYPE_EVENT_RECORD, true)
EVENT_NODE(cuGraphAddEventWaitNode, cuGraphEventWaitNodeGetEvent, cuGraphEventWaitNodeSetEvent,
           CU_GRAPH_NODE_TYPE_WAIT_EVENT, false)
}
