// Graphs as the application builds or captures them, and instantiated ones.
// Locking: the machine's lock.
#pragma once

#include <cuda.h>

#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "engine/work.h"

namespace simgpu {

class Stream;
struct Graph;
struct Operation;

// The bodies of a conditional node, and what they are chosen by.
struct Conditional {
  CUgraphConditionalNodeType type;
  std::shared_ptr<ConditionalValue> value;
  std::vector<std::shared_ptr<Graph>> bodies;
  std::vector<CUgraph> handles;  // of the bodies; none in an instantiated graph
};

struct Node {
  ~Node();

  CUgraphNodeType type;
  Work work;
  std::vector<Node*> after;
  Graph* graph = nullptr;
  std::shared_ptr<Graph> child;  // of a child graph node
  std::unique_ptr<Conditional> conditional;
  CUgraphNode origin = nullptr;           // the node that this one was cloned from
  bool enabled = true;                    // in an instantiated graph: else it does nothing
  std::vector<void*> parameter_pointers;  // what cuGraphKernelNodeGetParams hands out
};

inline CUgraphNode handle_of(Node* node) {
  return reinterpret_cast<CUgraphNode>(node);
}

struct Graph {
  ~Graph();
  Node* add(CUgraphNodeType type, Work work, std::vector<Node*> after);
  std::shared_ptr<Graph> clone() const;
  [[nodiscard]] bool has_conditional_nodes() const;

  std::vector<std::unique_ptr<Node>> nodes;
  // Handles made for this graph; they go with it.
  std::vector<std::shared_ptr<ConditionalValue>> conditional_values;
  std::weak_ptr<struct GraphExec> instance;  // the latest
};

// An instantiated graph: a clone, which updates change, and the steps that a launch takes of it.
struct GraphExec {
  // The node cloned from `origin`, in child graphs too; null when there is none.
  Node* find(CUgraphNode origin) const;

  std::shared_ptr<Graph> graph;
  // Replaced as a whole when the graph is updated, so that launches in flight keep theirs.
  std::shared_ptr<const std::vector<GraphStep>> steps;
  std::shared_ptr<Operation> running;  // the latest launch
  unsigned id = 0;
};

// Flattens child graphs. Null when the edges form a cycle, or a body has nodes that it may not.
std::shared_ptr<const std::vector<GraphStep>> instantiate(const Graph& graph);

// Whether an instantiated node's work may become `to`, which is of the same type.
bool parameters_may_change(const Work& from, const Work& to);

// What an instantiated graph's update by `graph` meets: cuGraphExecUpdate's answer. Nothing is
// changed.
CUgraphExecUpdateResultInfo check_update(const Graph& instantiated, const Graph& graph);
// After check_update() found nothing: takes the parameters of `graph`.
void apply_update(Graph& instantiated, const Graph& graph);

// A capture sequence: from cuStreamBeginCapture until cuStreamEndCapture on the same stream.
struct Capture {
  unsigned long long id;
  CUstreamCaptureMode mode;
  std::thread::id thread;
  Stream* origin;
  std::shared_ptr<Graph> graph;
  std::set<Stream*> streams;       // all that take part
  std::set<const Node*> captured;  // the graph may have had others before
  bool valid = true;
};

}  // namespace simgpu
