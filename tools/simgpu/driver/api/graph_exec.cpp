// Instantiated graphs: made, changed node by node or as a whole, launched.
#include <algorithm>

#include "api/graph_node.h"
#include "api/launch.h"
#include "engine/statistics.h"
#include "engine/submit.h"

namespace simgpu {

CUresult set_exec_node(Machine& m, CUgraphExec handle, CUgraphNode origin, CUgraphNodeType type,
                       Work work) {
  const auto exec = m.execs.find(handle);
  Node* node = exec == nullptr ? nullptr : exec->find(origin);
  if (node == nullptr || node->type != type) return CUDA_ERROR_INVALID_VALUE;
  node->work = std::move(work);
  exec->steps = instantiate(*exec->graph);
  return CUDA_SUCCESS;
}

}  // namespace simgpu

using namespace simgpu;

namespace {

CUresult make_exec(const char* function, CUgraphExec* out, CUgraph graph_handle) {
  SIMGPU_CALL_OF(function, driver);
  const auto graph = m.graphs.find(graph_handle);
  if (out == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  // "The graph will not be instantiable until the user calls cuStreamEndCapture."
  for (const auto& capture : m.captures) {
    if (capture->graph == graph) return CUDA_ERROR_ILLEGAL_STATE;
  }
  // cuda.h, CU_GRAPH_NODE_TYPE_CONDITIONAL: "Only one instantiation of the graph may exist at any
  // point in time."
  if (graph->has_conditional_nodes() && !graph->instance.expired()) return CUDA_ERROR_NOT_SUPPORTED;
  auto exec = std::make_shared<GraphExec>();
  exec->graph = graph->clone();
  exec->steps = instantiate(*exec->graph);
  if (exec->steps == nullptr) return CUDA_ERROR_INVALID_VALUE;
  exec->id = static_cast<unsigned>(m.next_id++);
  graph->instance = exec;
  *out = m.execs.add(std::move(exec));
  return CUDA_SUCCESS;
}

CUresult update(const char* function, CUgraphExec handle, CUgraph graph_handle,
                CUgraphExecUpdateResultInfo* info) {
  *info = {CU_GRAPH_EXEC_UPDATE_ERROR, nullptr, nullptr};
  SIMGPU_CALL_OF(function, driver);
  const auto exec = m.execs.find(handle);
  const auto graph = m.graphs.find(graph_handle);
  if (exec == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *info = check_update(*exec->graph, *graph);
  if (info->result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  apply_update(*exec->graph, *graph);
  exec->steps = instantiate(*exec->graph);
  return CUDA_SUCCESS;
}

// The handles of conditional nodes that a launch assigns, in bodies too.
void add_assigned(const std::vector<GraphStep>& steps, GraphWork* work) {
  for (const GraphStep& step : steps) {
    const auto* conditional = std::get_if<ConditionalWork>(&step.work);
    if (conditional == nullptr) continue;
    if (conditional->value->is_assigned) work->assigned.push_back(conditional->value);
    for (const auto& body : conditional->bodies) add_assigned(*body, work);
  }
}

// A launch's work: what its nodes of events record and wait for is settled now.
GraphWork launch_work(const GraphExec& exec, std::vector<OperationPtr>* records) {
  GraphWork work{exec.steps, {}, {}, exec.id};
  add_assigned(*exec.steps, &work);
  std::vector<std::pair<Event*, OperationPtr>> recorded;
  for (std::size_t i = 0; i < exec.steps->size(); ++i) {
    const auto* node = std::get_if<EventWork>(&(*exec.steps)[i].work);
    if (node == nullptr) continue;
    if (node->records) {
      recorded.emplace_back(node->event.get(), std::make_shared<Operation>());
      records->push_back(work.events[i] = recorded.back().second);
    } else if (node->event->recorded != nullptr) {
      work.events[i] = node->event->recorded;
    }
  }
  for (const auto& [event, operation] : recorded) {
    event->capture = nullptr;
    event->recorded = operation;
  }
  return work;
}

}  // namespace

extern "C" {

CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph graph, unsigned long long) {
  return make_exec(__func__, out, graph);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* out, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = make_exec(__func__, out, graph);
  params->result_out =
      result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
  return result;
}

CUresult cuGraphInstantiate_v2(CUgraphExec* out, CUgraph graph, CUgraphNode*, char* log,
                               std::size_t size) {
  if (log != nullptr && size > 0) *log = 0;
  return make_exec(__func__, out, graph);
}

CUresult cuGraphInstantiate(CUgraphExec* out, CUgraph graph, CUgraphNode* error, char* log,
                            std::size_t size) {
  return cuGraphInstantiate_v2(out, graph, error, log, size);
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
  SIMGPU_CALL(driver);
  return m.execs.take(handle) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
  if (info == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return update(__func__, exec, graph, info);
}

CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode* error_node,
                           CUgraphExecUpdateResult* update_result) {
  if (update_result == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUgraphExecUpdateResultInfo info{};
  const CUresult result = update(__func__, exec, graph, &info);
  *update_result = info.result;
  if (error_node != nullptr) *error_node = info.errorNode;
  return result;
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  KernelWork work;
  if (CUresult result = kernel_work(m, *params, &work); result != CUDA_SUCCESS) return result;
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_KERNEL, std::move(work));
}

// "Both … must be 1-dimensional. Zero-length operations are not supported."
CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                        const CUDA_MEMCPY3D* params, CUcontext) {
  SIMGPU_CALL(driver);
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CopyWork work;
  if (CUresult result = describe_copy(*params, &work); result != CUDA_SUCCESS) return result;
  const auto* before = exec_work<CopyWork>(m, exec, node);
  if (before == nullptr || before->height != 1 || before->depth != 1 || work.height != 1 ||
      work.depth != 1 || work.width == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_MEMCPY, std::move(work));
}

// "For 2d memsets, all dimension changes are rejected. For 1d memsets, changes in height are
// explicitly rejected."
CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                        const CUDA_MEMSET_NODE_PARAMS* params, CUcontext) {
  SIMGPU_CALL(driver);
  if (params == nullptr || params->width == 0 || params->height == 0)
    return CUDA_ERROR_INVALID_VALUE;
  MemsetWork work;
  if (CUresult result = memset_work(*params, &work); result != CUDA_SUCCESS) return result;
  const auto* before = exec_work<MemsetWork>(m, exec, node);
  if (before == nullptr || !parameters_may_change(*before, work)) return CUDA_ERROR_INVALID_VALUE;
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_MEMSET, work);
}

CUresult cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                      const CUDA_HOST_NODE_PARAMS* params) {
  SIMGPU_CALL(driver);
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_HOST,
                       HostWork{params->fn, params->userData});
}

CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent handle) {
  SIMGPU_CALL(driver);
  const auto event = m.events.find(handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, EventWork{event, true});
}

CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent handle) {
  SIMGPU_CALL(driver);
  const auto event = m.events.find(handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return set_exec_node(m, exec, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, EventWork{event, false});
}

CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec handle, CUgraphNode origin,
                                            CUgraph child_handle) {
  SIMGPU_CALL(driver);
  const auto exec = m.execs.find(handle);
  const auto child = m.graphs.find(child_handle);
  Node* node = exec == nullptr ? nullptr : exec->find(origin);
  if (node == nullptr || node->child == nullptr || child == nullptr ||
      check_update(*node->child, *child).result != CU_GRAPH_EXEC_UPDATE_SUCCESS) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  apply_update(*node->child, *child);
  exec->steps = instantiate(*exec->graph);
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeSetEnabled(CUgraphExec handle, CUgraphNode origin, unsigned enabled) {
  SIMGPU_CALL(driver);
  const auto exec = m.execs.find(handle);
  Node* node = exec == nullptr ? nullptr : exec->find(origin);
  // "Currently only kernel, memset and memcpy nodes are supported."
  if (node == nullptr ||
      (node->type != CU_GRAPH_NODE_TYPE_KERNEL && node->type != CU_GRAPH_NODE_TYPE_MEMSET &&
       node->type != CU_GRAPH_NODE_TYPE_MEMCPY)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  node->enabled = enabled != 0;
  exec->steps = instantiate(*exec->graph);
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetEnabled(CUgraphExec handle, CUgraphNode origin, unsigned* enabled) {
  SIMGPU_CALL(driver);
  const auto exec = m.execs.find(handle);
  const Node* node = exec == nullptr ? nullptr : exec->find(origin);
  if (node == nullptr || enabled == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *enabled = node->enabled ? 1 : 0;
  return CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream) {
  SIMGPU_CALL(context);
  return m.execs.find(exec) == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  SIMGPU_CALL_ON(stream_handle);
  const auto exec = m.execs.find(handle);
  if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult result = check_legacy_use(call.context(), *stream); result != CUDA_SUCCESS)
    return result;
  if (m.costs != nullptr) call.spend(m.costs->launch());
  statistics().graph_launches.fetch_add(1, std::memory_order_relaxed);
  if (stream->capture != nullptr) {
    OperationPtr none;
    Node* node = nullptr;
    const CUresult result =
        submit(call.context(), *stream, EmptyWork{}, CU_GRAPH_NODE_TYPE_GRAPH, &none, &node);
    if (result == CUDA_SUCCESS) node->child = exec->graph->clone();
    return result;
  }
  std::vector<OperationPtr> after, records;
  if (exec->running != nullptr && !exec->running->settled()) after.push_back(exec->running);
  exec->running = stream->submit(launch_work(*exec, &records), std::move(after));
  // On the virtual clock, events of its nodes are as late as the graph.
  for (const auto& record : records) record->task = exec->running->task;
  exec->running->records = std::move(records);
  return CUDA_SUCCESS;
}
}
