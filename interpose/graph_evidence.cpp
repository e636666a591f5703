// An application may set the parameters of thousands of nodes one by one, so the list that a launch
// reads is made anew at the next launch only.
#include "interpose/graph_evidence.h"

#include <algorithm>
#include <new>

namespace vhbm::interpose {
namespace {

struct ByNode {
  bool operator()(const NodeAddress& one, const NodeAddress& other) const {
    return one.node < other.node;
  }
  bool operator()(const NodeAddress& one, CUgraphNode node) const { return one.node < node; }
  bool operator()(CUgraphNode node, const NodeAddress& one) const { return node < one.node; }
};

}  // namespace

void GraphEvidence::learn(CUgraphExec executable, std::vector<NodeAddress> found) noexcept {
  forget(executable);
  try {
    auto known = std::make_unique<Known>();
    std::stable_sort(found.begin(), found.end(), ByNode());
    known->by_node = std::move(found);
    gather(*known);
    std::lock_guard lock(mutex_);
    if (!known_.put(executable, known.get())) return;
    try {
      all_[executable] = std::move(known);
    } catch (const std::bad_alloc&) {
      (void)known_.take(executable);
    }
  } catch (const std::bad_alloc&) {
  }
}

template <typename Work>
void GraphEvidence::change(CUgraphExec executable, Work&& work) noexcept {
  try {
    std::lock_guard lock(mutex_);
    const auto found = all_.find(executable);
    if (found == all_.end()) return;
    work(*found->second);
    found->second->changed.store(true, std::memory_order_release);
    return;
  } catch (const std::bad_alloc&) {
  }
  forget(executable);
}

void GraphEvidence::replace(CUgraphExec executable, CUgraphNode node,
                            std::vector<NodeAddress> found) noexcept {
  change(executable, [&](Known& known) {
    std::vector<NodeAddress>& all = known.by_node;
    const auto [first, last] = std::equal_range(all.begin(), all.end(), node, ByNode());
    const bool alone = std::all_of(found.begin(), found.end(),
                                   [node](const NodeAddress& one) { return one.node == node; });
    // As a rule a node names as many as before.
    if (alone && static_cast<std::size_t>(last - first) == found.size() && !found.empty()) {
      for (std::size_t i = 0; i < found.size(); ++i) first[i].address = found[i].address;
      return;
    }
    const bool inner = first != last && first->inside != node;
    if (inner) {
      for (NodeAddress& one : found) one.inside = first->inside;
    }
    std::erase_if(
        all, [node](const NodeAddress& one) { return one.node == node || one.inside == node; });
    all.insert(all.end(), found.begin(), found.end());
    std::stable_sort(all.begin(), all.end(), ByNode());
  });
}

void GraphEvidence::enable(CUgraphExec executable, CUgraphNode node, bool enabled) noexcept {
  change(executable, [&](Known& known) {
    if (enabled) {
      known.disabled.erase(node);
    } else {
      known.disabled.insert(node);
    }
  });
}

void GraphEvidence::forget(CUgraphExec executable) noexcept {
  std::lock_guard lock(mutex_);
  (void)known_.take(executable);
  all_.erase(executable);
}

const GraphEvidence::Addresses* GraphEvidence::gathered(CUgraphExec executable) noexcept {
  try {
    std::lock_guard lock(mutex_);
    const auto found = all_.find(executable);
    if (found == all_.end()) return nullptr;
    if (found->second->changed.load(std::memory_order_relaxed)) gather(*found->second);
    return &found->second->addresses;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void GraphEvidence::gather(Known& known) {
  Addresses addresses;
  addresses.reserve(known.by_node.size());
  for (const NodeAddress& one : known.by_node) {
    if (!known.disabled.contains(one.node)) addresses.push_back(one.address);
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  known.addresses.swap(addresses);
  known.changed.store(false, std::memory_order_release);
}

}  // namespace vhbm::interpose
