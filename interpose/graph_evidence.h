// What each executable graph touches: read from its nodes when it is instantiated or updated,
// followed when one node's parameters change, so that a launch costs one look-up. CUDA asks the
// application not to launch, update and destroy one executable graph at the same time, so a launch
// never reads what an update replaces. Locking: find() none, unless nodes changed since the last
// launch; the rest a mutex.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "interpose/graph_reader.h"
#include "interpose/handle_table.h"

namespace vhbm::interpose {

class GraphEvidence {
 public:
  using Addresses = std::vector<std::uint64_t>;

  // Hot. Addresses in the window that the graph's nodes name; nullptr when nothing is known.
  [[nodiscard]] const Addresses* find(CUgraphExec executable) noexcept {
    const Known* known = known_.find(executable);
    if (known == nullptr) return nullptr;
    if (known->changed.load(std::memory_order_acquire)) [[unlikely]]
      return gathered(executable);
    return &known->addresses;
  }
  // All that is known of it from now on.
  void learn(CUgraphExec executable, std::vector<NodeAddress> found) noexcept;
  // One node's addresses, and those of all nodes within it, in the place of what they were.
  void replace(CUgraphExec executable, CUgraphNode node, std::vector<NodeAddress> found) noexcept;
  // A node that is disabled touches nothing.
  void enable(CUgraphExec executable, CUgraphNode node, bool enabled) noexcept;
  void forget(CUgraphExec executable) noexcept;

 private:
  struct Known {
    std::atomic<bool> changed{true};   // `addresses` are older than the rest
    Addresses addresses;               // each once
    std::vector<NodeAddress> by_node;  // in the order of nodes
    std::set<CUgraphNode> disabled;
  };
  const Addresses* gathered(CUgraphExec executable) noexcept;
  static void gather(Known& known);
  // Does `work` with what is known of the graph; what fails for want of memory forgets it.
  template <typename Work>
  void change(CUgraphExec executable, Work&& work) noexcept;

  std::mutex mutex_;
  std::unordered_map<CUgraphExec, std::unique_ptr<Known>> all_;
  HandleTable<Known, 16384> known_;  // of `all_`
};

}  // namespace vhbm::interpose
