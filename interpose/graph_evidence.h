// What each executable graph touches, read from its nodes when it is instantiated or updated, so
// that a launch costs one look-up. CUDA asks the application not to launch, update and destroy one
// executable graph at the same time, so a launch never reads what an update replaces. Locking:
// find() none; the rest a mutex.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "interpose/functions.h"
#include "interpose/handle_table.h"
#include "interpose/parameter_layouts.h"
#include "runtime/runtime.h"

namespace vhbm::interpose {

class GraphEvidence {
 public:
  using Addresses = std::vector<std::uint64_t>;

  // Hot. Addresses in the window that the graph's nodes name; nullptr when nothing is known.
  [[nodiscard]] const Addresses* find(CUgraphExec executable) const noexcept {
    return known_.find(executable);
  }
  // `graph` is what the executable was made from or updated with.
  void learn(CUgraphExec executable, CUgraph graph, const Runtime& runtime, const Queries& ask,
             ParameterLayouts& layouts) noexcept;
  void forget(CUgraphExec executable) noexcept;

 private:
  std::mutex mutex_;
  HandleTable<Addresses, 16384> known_;
};

}  // namespace vhbm::interpose
