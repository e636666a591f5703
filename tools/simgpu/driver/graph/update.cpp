// Updating an instantiated graph by another of the same topology (cuda.h: cuGraphExecUpdate).
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace simgpu {
namespace {

using Info = CUgraphExecUpdateResultInfo;

Info topology_changed(Node* node, Node* dependency = nullptr) {
  return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, node == nullptr ? nullptr : handle_of(node),
          dependency == nullptr ? nullptr : handle_of(dependency)};
}

std::vector<Node*> exits_of(const Graph& graph) {
  std::set<const Node*> inner;
  for (const auto& node : graph.nodes) inner.insert(node->after.begin(), node->after.end());
  std::vector<Node*> exits;
  for (const auto& node : graph.nodes) {
    if (inner.count(node.get()) == 0) exits.push_back(node.get());
  }
  return exits;
}

// Which nodes of two graphs belong together: their exit nodes in the order in which these were
// added, then "dependencies are paired based on edge order", whichever node was added first.
class Pairing {
 public:
  Pairing(const Graph& instantiated, const Graph& graph) {
    if (instantiated.nodes.size() != graph.nodes.size()) {
      result_ = topology_changed(nullptr);
      return;
    }
    const std::vector<Node*> old_exits = exits_of(instantiated), exits = exits_of(graph);
    if (exits.size() > old_exits.size()) {
      result_ = topology_changed(exits[old_exits.size()]);
      return;
    }
    for (std::size_t i = 0; i < exits.size(); ++i) pair(old_exits[i], exits[i]);
    // What was paired last grows the list that this walks.
    for (std::size_t i = 0; i < pairs_.size() && succeeded(); ++i) {
      pair_dependencies(pairs_[i].first, pairs_[i].second);
    }
  }

  [[nodiscard]] bool succeeded() const { return result_.result == CU_GRAPH_EXEC_UPDATE_SUCCESS; }
  [[nodiscard]] const Info& result() const { return result_; }
  // Each node of the instantiated graph with one of the other; complete where it succeeded.
  [[nodiscard]] const std::vector<std::pair<Node*, Node*>>& pairs() const { return pairs_; }

 private:
  void pair(Node* old_node, Node* node) {
    pairs_.emplace_back(old_node, node);
    old_of_[node] = old_node;
    taken_.insert(old_node);
  }

  void pair_dependencies(const Node* old_node, Node* node) {
    if (old_node->type != node->type) {
      result_ = {CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, handle_of(node), nullptr};
      return;
    }
    if (old_node->after.size() != node->after.size()) {
      result_ = topology_changed(node);
      return;
    }
    for (std::size_t i = 0; i < node->after.size(); ++i) {
      const auto known = old_of_.find(node->after[i]);
      if (known == old_of_.end() && taken_.count(old_node->after[i]) == 0) {
        pair(old_node->after[i], node->after[i]);
      } else if (known == old_of_.end() || known->second != old_node->after[i]) {
        result_ = topology_changed(node, node->after[i]);
        return;
      }
    }
  }

  Info result_{};
  std::vector<std::pair<Node*, Node*>> pairs_;
  std::unordered_map<const Node*, const Node*> old_of_;
  std::set<const Node*> taken_;  // of the instantiated graph
};

// "Changing node parameters is not supported", of a conditional node; those in its bodies may.
Info check_bodies(const Conditional& old_one, Node& node) {
  const Conditional& one = *node.conditional;
  if (old_one.type != one.type || old_one.bodies.size() != one.bodies.size()) {
    return {CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED, handle_of(&node), nullptr};
  }
  for (std::size_t i = 0; i < one.bodies.size(); ++i) {
    const Info info = check_update(*old_one.bodies[i], *one.bodies[i]);
    if (info.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return info;
  }
  return {};
}

Info check_parameters(const Node& old_node, Node& node) {
  if (node.conditional != nullptr) return check_bodies(*old_node.conditional, node);
  if (node.child != nullptr) return check_update(*old_node.child, *node.child);
  if (parameters_may_change(old_node.work, node.work)) return {};
  return {CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED, handle_of(&node), nullptr};
}

}  // namespace

// "For 2d memsets, only address and assigned value may
// be updated", and a copy keeps its kinds of memory.
bool parameters_may_change(const Work& from, const Work& to) {
  if (const auto* old_set = std::get_if<MemsetWork>(&from)) {
    const auto& set = std::get<MemsetWork>(to);
    if (old_set->height != set.height) return false;
    return set.height <= 1 || (old_set->width == set.width && old_set->pitch == set.pitch &&
                               old_set->element == set.element);
  }
  if (const auto* old_copy = std::get_if<CopyWork>(&from)) {
    const auto& copy = std::get<CopyWork>(to);
    return old_copy->described.srcMemoryType == copy.described.srcMemoryType &&
           old_copy->described.dstMemoryType == copy.described.dstMemoryType;
  }
  if (const auto* old_operations = std::get_if<MemoryOperationsWork>(&from)) {
    return old_operations->operations.size() ==
           std::get<MemoryOperationsWork>(to).operations.size();
  }
  return true;
}

Info check_update(const Graph& instantiated, const Graph& graph) {
  const Pairing pairing(instantiated, graph);
  if (!pairing.succeeded()) return pairing.result();
  for (const auto& [old_node, node] : pairing.pairs()) {
    const Info info = check_parameters(*old_node, *node);
    if (info.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return info;
  }
  return {};
}

void apply_update(Graph& instantiated, const Graph& graph) {
  const Pairing pairing(instantiated, graph);
  for (const auto& [old_node, node] : pairing.pairs()) {
    old_node->work = node->work;
    if (node->child != nullptr) apply_update(*old_node->child, *node->child);
    if (node->conditional == nullptr) continue;
    // "Conditional handle flags and default values are updated as part of the graph update."
    old_node->conditional->value = node->conditional->value;
    for (std::size_t i = 0; i < node->conditional->bodies.size(); ++i) {
      apply_update(*old_node->conditional->bodies[i], *node->conditional->bodies[i]);
    }
  }
}

}  // namespace simgpu
