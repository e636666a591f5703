// A piece of GPU work as a value: what a stream executes and what a graph node holds.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/memory_operation.h"
#include "simgpu/module_abi.h"

namespace simgpu {

struct Event;
struct ModuleImage;
struct Operation;

struct EmptyWork {};

struct KernelWork {
  std::shared_ptr<ModuleImage> image;  // keeps the code loaded while work refers to it
  const SimgpuKernel* kernel = nullptr;
  CUfunction function = nullptr;  // as the application named it, for cuGraphKernelNodeGetParams
  SimgpuDim3 grid{1, 1, 1}, block{1, 1, 1};
  unsigned shared_bytes = 0;
  std::vector<unsigned char> parameters;
};

// depth slices of height rows of width bytes. A 1D copy has one row.
struct CopyWork {
  void* to = nullptr;
  const void* from = nullptr;
  std::size_t width = 0, height = 1, depth = 1;
  std::size_t to_pitch = 0, from_pitch = 0;    // bytes from row to row
  std::size_t to_slice = 0, from_slice = 0;    // bytes from slice to slice
  std::shared_ptr<std::vector<char>> staging;  // the source, when it was pageable
  CUDA_MEMCPY3D described{};                   // as the application gave it, for graph queries
};

struct MemsetWork {
  void* to = nullptr;
  std::uint32_t value = 0;
  unsigned element = 1;                          // bytes: 1, 2 or 4
  std::size_t width = 0, height = 1, pitch = 0;  // width in elements
};

struct HostWork {
  CUhostFn function = nullptr;
  void* data = nullptr;
};

struct CallbackWork {  // cuStreamAddCallback
  CUstreamCallback function = nullptr;
  CUstream stream = nullptr;
  void* data = nullptr;
};

struct DriverWork {  // of the driver itself, which takes the machine's lock
  std::function<void()> run;
};

struct EventWork {  // a node that records an event, or waits for one: see GraphWork
  std::shared_ptr<Event> event;
  bool records = false;
};

// A conditional handle: what kernels set, and what its node decides by. Its own address is the
// handle's value, so that a simulated kernel needs no help to set it.
struct ConditionalValue {
  unsigned now = 0;  // atomic: set by kernels
  unsigned initial = 0;
  bool is_assigned = false;  // `initial`, at each launch
};

struct GraphStep;
struct ConditionalWork {
  CUgraphConditionalNodeType type = CU_GRAPH_COND_TYPE_IF;
  std::shared_ptr<ConditionalValue> value;
  std::vector<std::shared_ptr<const std::vector<GraphStep>>> bodies;
};

// One node of an instantiated graph, with the positions of those it waits for.
struct GraphWork {
  std::shared_ptr<const std::vector<GraphStep>> steps;
  // Of this launch, by step: the record that an event's node ends, or waits for.
  std::unordered_map<std::size_t, std::shared_ptr<Operation>> events;
  std::vector<std::shared_ptr<ConditionalValue>> assigned;  // their initial values, first of all
  unsigned id = 0;  // the instantiated graph's; 0 for a body, which is its graph's
};

using Work = std::variant<EmptyWork, KernelWork, CopyWork, MemsetWork, HostWork, CallbackWork,
                          GraphWork, ConditionalWork, MemoryOperationsWork, EventWork, DriverWork>;

struct GraphStep {
  Work work;
  std::vector<std::size_t> after;
};

// Runs the work to its end on the calling thread, inside the access guard.
enum class WorkResult { completed, illegal_address, cancelled };
WorkResult execute(const Work& work, const struct ExecutionSite& site);

// What an execution needs to know of where it runs.
struct ExecutionSite {
  bool (*cancelled)(const void* context);
  const void* context;
  int device;                           // the context's
  class Recorder* recorder = nullptr;   // of what the work draws; none without a device profile
  class KernelRuns* kernels = nullptr;  // that ran; none where nobody listens
};

}  // namespace simgpu
