// What the entries on graphs, on their nodes and on instantiated graphs share.
#pragma once

#include <cuda.h>

#include "machine.h"

namespace simgpu {

Node* find_node(Machine& m, CUgraphNode handle);

CUresult add_node(Machine& m, CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                  std::size_t count, CUgraphNodeType type, Work work, Node** added = nullptr);

// Gives the node of that type new work; what was instantiated of its graph keeps the old.
CUresult set_node(Machine& m, CUgraphNode handle, CUgraphNodeType type, Work work);
// Gives new work to what was instantiated of a template's node of that type.
CUresult set_exec_node(Machine& m, CUgraphExec handle, CUgraphNode origin, CUgraphNodeType type,
                       Work work);
// The work that the instantiated node has now, if it is of type T.
template <typename T>
const T* exec_work(Machine& m, CUgraphExec handle, CUgraphNode origin) {
  const auto exec = m.execs.find(handle);
  const Node* node = exec == nullptr ? nullptr : exec->find(origin);
  return node == nullptr ? nullptr : std::get_if<T>(&node->work);
}

// A node's parameters as work.
CUresult kernel_work(Machine& m, const CUDA_KERNEL_NODE_PARAMS& params, KernelWork* work);
CUresult memset_work(const CUDA_MEMSET_NODE_PARAMS& params, MemsetWork* work);

}  // namespace simgpu
