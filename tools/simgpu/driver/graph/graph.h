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

struct Node {
  CUgraphNodeType type;
  Work work;
  std::vector<Node*> after;
  Graph* graph = nullptr;
  std::shared_ptr<Graph> child;           // of a child graph node
  std::vector<void*> parameter_pointers;  // what cuGraphKernelNodeGetParams hands out
};

inline CUgraphNode handle_of(Node* node) {
  return reinterpret_cast<CUgraphNode>(node);
}

struct Graph {
  ~Graph();
  Node* add(CUgraphNodeType type, Work work, std::vector<Node*> after);
  std::shared_ptr<Graph> clone() const;

  std::vector<std::unique_ptr<Node>> nodes;
};

struct GraphExec {
  // Replaced as a whole when a node's parameters change, so that launches in flight keep theirs.
  std::shared_ptr<const std::vector<GraphStep>> steps;
  std::shared_ptr<Operation> running;  // the latest launch
};

// Flattens child graphs. Null when the edges form a cycle.
std::shared_ptr<const std::vector<GraphStep>> instantiate(const Graph& graph);

// A capture sequence: from cuStreamBeginCapture until cuStreamEndCapture on the same stream.
struct Capture {
  unsigned long long id;
  CUstreamCaptureMode mode;
  std::thread::id thread;
  Stream* origin;
  std::shared_ptr<Graph> graph;
  std::set<Stream*> streams;  // all that take part
  bool valid = true;
};

}  // namespace simgpu
