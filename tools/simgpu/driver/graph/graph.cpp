#include "graph/graph.h"

#include <algorithm>
#include <unordered_map>

#include "machine.h"

namespace simgpu {

Node::~Node() {
  if (conditional == nullptr) return;
  for (CUgraph handle : conditional->handles) machine()->graphs.take(handle);
}

Graph::~Graph() {
  for (const auto& node : nodes) machine()->nodes.erase(handle_of(node.get()));
  for (const auto& value : conditional_values) machine()->conditional_values.erase(value.get());
}

bool Graph::has_conditional_nodes() const {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const auto& node) { return node->conditional != nullptr; });
}

Node* Graph::add(CUgraphNodeType type, Work work, std::vector<Node*> after) {
  auto node = std::make_unique<Node>();
  node->type = type;
  node->work = std::move(work);
  node->after = std::move(after);
  node->graph = this;
  Node* raw = node.get();
  machine()->nodes[handle_of(raw)] = raw;
  nodes.push_back(std::move(node));
  return raw;
}

std::shared_ptr<Graph> Graph::clone() const {
  auto copy = std::make_shared<Graph>();
  std::unordered_map<const Node*, Node*> twin;
  for (const auto& node : nodes) {
    twin[node.get()] = copy->add(node->type, node->work, {});
    twin[node.get()]->origin = handle_of(node.get());
    twin[node.get()]->enabled = node->enabled;
    if (node->child != nullptr) twin[node.get()]->child = node->child->clone();
    if (const Conditional* conditional = node->conditional.get(); conditional != nullptr) {
      auto& own = twin[node.get()]->conditional;
      own = std::make_unique<Conditional>();
      own->type = conditional->type;
      own->value = conditional->value;
      for (const auto& body : conditional->bodies) own->bodies.push_back(body->clone());
    }
  }
  for (const auto& node : nodes) {
    for (const Node* before : node->after) twin[node.get()]->after.push_back(twin[before]);
  }
  return copy;
}

namespace {

// cuda.h, CUDA_CONDITIONAL_NODE_PARAMS: "Allowed node types are kernel nodes, empty nodes, child
// graphs, memsets, memcopies, and conditionals. This applies recursively".
bool may_be_a_body(const Graph& graph) {
  return std::all_of(graph.nodes.begin(), graph.nodes.end(), [](const auto& node) {
    switch (node->type) {
      case CU_GRAPH_NODE_TYPE_KERNEL:
      case CU_GRAPH_NODE_TYPE_EMPTY:
      case CU_GRAPH_NODE_TYPE_MEMSET:
      case CU_GRAPH_NODE_TYPE_MEMCPY:
      case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return true;
      case CU_GRAPH_NODE_TYPE_GRAPH:
        return may_be_a_body(*node->child);
      default:
        return false;
    }
  });
}

// False when a body cannot be.
bool choose_among_bodies(const Conditional& conditional, ConditionalWork* work) {
  work->type = conditional.type;
  work->value = conditional.value;
  for (const auto& body : conditional.bodies) {
    work->bodies.push_back(may_be_a_body(*body) ? instantiate(*body) : nullptr);
    if (work->bodies.back() == nullptr) return false;
  }
  return true;
}

// Appends the graph's nodes after `entry`; gives the positions of its last ones.
bool append(const Graph& graph, const std::vector<std::size_t>& entry,
            std::vector<GraphStep>* steps, std::vector<std::size_t>* leaves) {
  std::unordered_map<const Node*, std::vector<std::size_t>> ends;  // of placed nodes
  std::set<const Node*> inner;
  std::vector<const Node*> waiting;
  for (const auto& node : graph.nodes) {
    waiting.push_back(node.get());
    inner.insert(node->after.begin(), node->after.end());
  }
  while (!waiting.empty()) {
    auto next = std::find_if(waiting.begin(), waiting.end(), [&](const Node* node) {
      return std::all_of(node->after.begin(), node->after.end(),
                         [&](const Node* before) { return ends.count(before) != 0; });
    });
    if (next == waiting.end()) return false;
    const Node* node = *next;
    waiting.erase(next);
    std::vector<std::size_t> after = node->after.empty() ? entry : std::vector<std::size_t>{};
    for (const Node* before : node->after) {
      after.insert(after.end(), ends[before].begin(), ends[before].end());
    }
    if (node->child != nullptr) {
      if (!append(*node->child, after, steps, &ends[node])) return false;
      if (ends[node].empty()) ends[node] = after;
    } else if (node->conditional != nullptr) {
      ConditionalWork work;
      if (!choose_among_bodies(*node->conditional, &work)) return false;
      steps->push_back({std::move(work), after});
      ends[node] = {steps->size() - 1};
    } else {
      steps->push_back({node->enabled ? node->work : Work{EmptyWork{}}, after});
      ends[node] = {steps->size() - 1};
    }
    if (inner.count(node) == 0) {
      leaves->insert(leaves->end(), ends[node].begin(), ends[node].end());
    }
  }
  return true;
}

Node* find_clone(const Graph& graph, CUgraphNode origin) {
  for (const auto& node : graph.nodes) {
    if (node->origin == origin) return node.get();
    if (node->child != nullptr) {
      if (Node* inner = find_clone(*node->child, origin)) return inner;
    }
    if (node->conditional == nullptr) continue;
    for (const auto& body : node->conditional->bodies) {
      if (Node* inner = find_clone(*body, origin)) return inner;
    }
  }
  return nullptr;
}

}  // namespace

Node* GraphExec::find(CUgraphNode origin) const {
  return find_clone(*graph, origin);
}

std::shared_ptr<const std::vector<GraphStep>> instantiate(const Graph& graph) {
  auto steps = std::make_shared<std::vector<GraphStep>>();
  std::vector<std::size_t> leaves;
  return append(graph, {}, steps.get(), &leaves) ? steps : nullptr;
}

}  // namespace simgpu
