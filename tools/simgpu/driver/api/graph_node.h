// Looking up a node by its handle, for the entries on graphs and those on nodes.
#pragma once

#include <cuda.h>

#include "machine.h"

namespace simgpu {

Node* find_node(Machine& m, CUgraphNode handle);

}  // namespace simgpu
