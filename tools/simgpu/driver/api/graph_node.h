// What the entries on graphs, on their nodes and on instantiated graphs share.
#pragma once

#include <cuda.h>

#include "machine.h"

namespace simgpu {

Node* find_node(Machine& m, CUgraphNode handle);

CUresult add_node(Machine& m, CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                  std::size_t count, CUgraphNodeType type, Work work, Node** added = nullptr);

// A node's parameters as work.
CUresult kernel_work(Machine& m, const CUDA_KERNEL_NODE_PARAMS& params, KernelWork* work);
CUresult memset_work(const CUDA_MEMSET_NODE_PARAMS& params, MemsetWork* work);

}  // namespace simgpu
