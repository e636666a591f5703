// Adding a conditional node, which cuGraphAddNode alone can.
#pragma once

#include <cuda.h>

namespace simgpu {

// `function` is the entry that was called. The bodies' handles come back in `parameters`.
CUresult add_conditional_node(const char* function, CUgraphNode* out, CUgraph graph,
                              const CUgraphNode* dependencies, std::size_t count,
                              CUDA_CONDITIONAL_NODE_PARAMS* parameters);

}  // namespace simgpu
