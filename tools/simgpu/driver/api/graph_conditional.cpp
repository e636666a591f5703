// Conditional nodes: a handle that kernels set, and a node that runs one of its bodies by it.
#include "api/graph_conditional.h"

#include "api/graph_node.h"
#include "lifecycle.h"

namespace simgpu {
namespace {

bool is_right_size(CUgraphConditionalNodeType type, unsigned size) {
  switch (type) {
    case CU_GRAPH_COND_TYPE_IF:
      return size == 1 || size == 2;
    case CU_GRAPH_COND_TYPE_WHILE:
      return size == 1;
    case CU_GRAPH_COND_TYPE_SWITCH:
      return size > 0;
  }
  return false;
}

}  // namespace

CUresult add_conditional_node(const char* function, CUgraphNode* out, CUgraph graph,
                              const CUgraphNode* dependencies, std::size_t count,
                              CUDA_CONDITIONAL_NODE_PARAMS* parameters) {
  SIMGPU_CALL_OF(function, driver);
  const auto value =
      m.conditional_values.find(reinterpret_cast<ConditionalValue*>(parameters->handle));
  if (value == m.conditional_values.end() || !is_right_size(parameters->type, parameters->size)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Node* node = nullptr;
  const CUresult result = add_node(m, out, graph, dependencies, count,
                                   CU_GRAPH_NODE_TYPE_CONDITIONAL, EmptyWork{}, &node);
  if (result != CUDA_SUCCESS) return result;
  node->conditional = std::make_unique<Conditional>();
  node->conditional->type = parameters->type;
  node->conditional->value = value->second;
  for (unsigned i = 0; i < parameters->size; ++i) {
    node->conditional->bodies.push_back(std::make_shared<Graph>());
    node->conditional->handles.push_back(m.graphs.add(node->conditional->bodies.back()));
  }
  parameters->phGraph_out = node->conditional->handles.data();
  return CUDA_SUCCESS;
}

}  // namespace simgpu

using namespace simgpu;

extern "C" CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle* out, CUgraph handle,
                                                   CUcontext context, unsigned initial,
                                                   unsigned flags) {
  SIMGPU_CALL(driver);
  const auto graph = m.graphs.find(handle);
  if (out == nullptr || graph == nullptr || m.find_context(context) == nullptr ||
      (flags & ~static_cast<unsigned>(CU_GRAPH_COND_ASSIGN_DEFAULT)) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto value = std::make_shared<ConditionalValue>();
  value->initial = initial;
  value->is_assigned = (flags & CU_GRAPH_COND_ASSIGN_DEFAULT) != 0;
  *out = reinterpret_cast<CUgraphConditionalHandle>(value.get());
  m.conditional_values[value.get()] = value;
  graph->conditional_values.push_back(std::move(value));
  return CUDA_SUCCESS;
}
