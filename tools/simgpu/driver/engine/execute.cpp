// Executes work: kernels block by block, copies and sets piece by piece, graphs node by node, with
// points between where the fuzzer may delay and a dying context may cut the work short.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "cost/recorder.h"
#include "engine/access_guard.h"
#include "engine/device_view.h"
#include "engine/event_node.h"
#include "engine/fuzzer.h"
#include "engine/kernel_runs.h"
#include "engine/statistics.h"
#include "engine/thread_state.h"
#include "engine/work.h"

namespace simgpu {
namespace {

constexpr std::size_t kCopyPiece = std::size_t{256} << 10;
constexpr std::uint64_t kFuzzedBlocks = 16;  // points a kernel, however many blocks it has

thread_local const ExecutionSite* current_site = nullptr;
thread_local GraphPlace current_place;

void stop_if_cancelled() {
  if (current_site->cancelled(current_site->context)) AccessGuard::cancel();
}

thread_local int current_view = kAllDevices;

void yield_from_kernel() {
  if (current_site->recorder != nullptr) current_site->recorder->may_wait();
  stop_if_cancelled();
  Fuzzer::point();
  leave_view();
  std::this_thread::yield();
  enter_view(current_view);
}

void note_traffic(const void* address, std::uint64_t bytes, int writes) {
  current_site->recorder->touches(address, bytes, writes != 0);
}

WorkResult guarded(int view, void (*body)(const void*), const void* argument) {
  current_view = view;
  const DeviceView shown(view);
  switch (AccessGuard::run([=] { body(argument); })) {
    case AccessGuard::Outcome::completed:
      return WorkResult::completed;
    case AccessGuard::Outcome::illegal_address:
      return WorkResult::illegal_address;
    default:
      return WorkResult::cancelled;
  }
}

struct KernelRun {
  const KernelWork* work;
  unsigned char* shared;
};

void run_kernel(const void* argument) {
  const auto& [work, shared] = *static_cast<const KernelRun*>(argument);
  const SimgpuDim3 grid = work->grid;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  const std::uint64_t stride = std::max<std::uint64_t>(1, blocks / kFuzzedBlocks);
  SimgpuBlock block{
      grid,   work->block,        {0, 0, 0},
      shared, &yield_from_kernel, current_site->recorder == nullptr ? nullptr : &note_traffic};
  for (std::uint64_t index = 0; index < blocks; ++index) {
    if (index % stride == 0) {
      stop_if_cancelled();
      Fuzzer::point();
    }
    block.index = {static_cast<std::uint32_t>(index % grid.x),
                   static_cast<std::uint32_t>(index / grid.x % grid.y),
                   static_cast<std::uint32_t>(index / grid.x / grid.y)};
    work->kernel->run_block(&block, work->parameters.data());
  }
}

void run_copy(const void* argument) {
  const auto& copy = *static_cast<const CopyWork*>(argument);
  for (std::size_t slice = 0; slice < copy.depth; ++slice) {
    for (std::size_t row = 0; row < copy.height; ++row) {
      char* to = static_cast<char*>(copy.to) + slice * copy.to_slice + row * copy.to_pitch;
      const char* from =
          static_cast<const char*>(copy.from) + slice * copy.from_slice + row * copy.from_pitch;
      for (std::size_t done = 0; done < copy.width; done += kCopyPiece) {
        if (row % 64 == 0) Fuzzer::point();
        std::memmove(to + done, from + done, std::min(kCopyPiece, copy.width - done));
      }
    }
  }
}

void run_memset(const void* argument) {
  const auto& set = *static_cast<const MemsetWork*>(argument);
  for (std::size_t row = 0; row < set.height; ++row) {
    if (row % 64 == 0) Fuzzer::point();
    char* to = static_cast<char*>(set.to) + row * set.pitch;
    switch (set.element) {
      case 1:
        std::memset(to, static_cast<int>(set.value), set.width);
        break;
      case 2:
        std::fill_n(reinterpret_cast<std::uint16_t*>(to), set.width, set.value);
        break;
      default:
        std::fill_n(reinterpret_cast<std::uint32_t*>(to), set.width, set.value);
    }
  }
}

// A wait polls, as a GPU does; now and then it sleeps, since here it takes a processor from others.
void run_memory_operations(const void* argument) {
  const auto& work = *static_cast<const MemoryOperationsWork*>(argument);
  for (const MemoryOperation& operation : work.operations) {
    Fuzzer::point();
    if (operation.kind != MemoryOperation::Kind::wait) {
      perform(operation);
      continue;
    }
    for (unsigned polls = 1; !is_satisfied(operation); ++polls) {
      yield_from_kernel();
      if (polls % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

WorkResult execute_one(const EmptyWork&) {
  return WorkResult::completed;
}

WorkResult execute_one(const KernelWork& work) {
  static thread_local std::vector<unsigned char> shared;
  if (shared.size() < work.shared_bytes + 16u) shared.resize(work.shared_bytes + 16u);
  auto aligned = (reinterpret_cast<std::uintptr_t>(shared.data()) + 15) / 16 * 16;
  const KernelRun run{&work, reinterpret_cast<unsigned char*>(aligned)};
  statistics().kernels.fetch_add(1, std::memory_order_relaxed);
  KernelSpan::Clock::time_point begin;
  if (current_site->kernels != nullptr) begin = KernelSpan::Clock::now();
  const WorkResult result = guarded(current_site->device, &run_kernel, &run);
  if (current_site->recorder != nullptr) current_site->recorder->kernel_ended();
  if (current_site->kernels != nullptr && result == WorkResult::completed) {
    current_site->kernels->add(work, current_place, begin, current_site->recorder);
  }
  return result;
}

WorkResult execute_one(const CopyWork& work) {
  statistics().copied_bytes.fetch_add(work.width * work.height * work.depth,
                                      std::memory_order_relaxed);
  if (current_site->recorder != nullptr) current_site->recorder->executes(work);
  return guarded(kAllDevices, &run_copy, &work);
}

WorkResult execute_one(const MemsetWork& work) {
  if (current_site->recorder != nullptr) current_site->recorder->executes(work);
  return guarded(kAllDevices, &run_memset, &work);
}

WorkResult execute_one(const MemoryOperationsWork& work) {
  if (current_site->recorder != nullptr) current_site->recorder->may_wait();
  return guarded(kAllDevices, &run_memory_operations, &work);
}

WorkResult execute_one(const HostWork& work) {
  if (current_site->recorder != nullptr) current_site->recorder->may_wait();
  thread_state().in_host_function = true;
  work.function(work.data);
  thread_state().in_host_function = false;
  return WorkResult::completed;
}

WorkResult execute_one(const CallbackWork& work) {
  if (current_site->recorder != nullptr) current_site->recorder->may_wait();
  thread_state().in_host_function = true;
  work.function(work.stream, CUDA_SUCCESS, work.data);
  thread_state().in_host_function = false;
  return WorkResult::completed;
}

WorkResult execute_one(const DriverWork& work) {
  work.run();
  return WorkResult::completed;
}

WorkResult execute_one(const EventWork&) {
  return WorkResult::completed;  // a graph's launch knows the record
}

void assign(ConditionalValue& value) {
  __atomic_store_n(&value.now, value.initial, __ATOMIC_RELAXED);
}

// Which node of a graph runs; of a body's nodes, the conditional node's.
class GraphPlaceScope {
 public:
  explicit GraphPlaceScope(unsigned graph) : graph_(graph) {}
  ~GraphPlaceScope() {
    if (graph_ != 0) current_place = {};
  }
  GraphPlaceScope(const GraphPlaceScope&) = delete;
  GraphPlaceScope& operator=(const GraphPlaceScope&) = delete;
  void at(std::size_t index) const {
    if (graph_ != 0) current_place = {graph_, index + 1};
  }

 private:
  const unsigned graph_;  // 0: a body
};

// One node after another, in an order the edges allow; under the fuzzer, in a random one of these.
WorkResult execute_one(const GraphWork& graph) {
  for (const auto& value : graph.assigned) assign(*value);
  const GraphPlaceScope place(graph.id);
  const std::vector<GraphStep>& steps = *graph.steps;
  std::vector<std::size_t> waiting(steps.size());
  std::vector<std::vector<std::size_t>> followers(steps.size());
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    waiting[i] = steps[i].after.size();
    for (std::size_t before : steps[i].after) followers[before].push_back(i);
    if (waiting[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    const std::size_t choice = Fuzzer::enabled() ? Fuzzer::pick(ready.size()) : 0;
    const std::size_t index = ready[choice];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(choice));
    place.at(index);
    WorkResult result = execute(steps[index].work, *current_site);
    if (const auto event = graph.events.find(index); event != graph.events.end()) {
      result = std::get<EventWork>(steps[index].work).records
                   ? end_record(*event->second)
                   : wait_for_record(*event->second, *current_site);
    }
    if (result != WorkResult::completed) return result;
    for (std::size_t follower : followers[index]) {
      if (--waiting[follower] == 0) ready.push_back(follower);
    }
  }
  return WorkResult::completed;
}

WorkResult execute_one(const ConditionalWork& work) {
  const auto value = [&] { return __atomic_load_n(&work.value->now, __ATOMIC_ACQUIRE); };
  const auto run = [&](std::size_t body) {
    return execute_one(GraphWork{work.bodies[body], {}, {}, 0});
  };
  const std::size_t count = work.bodies.size();
  switch (work.type) {
    case CU_GRAPH_COND_TYPE_IF:
      if (value() != 0) return run(0);
      return count == 2 ? run(1) : WorkResult::completed;
    case CU_GRAPH_COND_TYPE_WHILE:
      while (value() != 0) {
        if (current_site->cancelled(current_site->context)) return WorkResult::cancelled;
        if (const WorkResult result = run(0); result != WorkResult::completed) return result;
      }
      return WorkResult::completed;
    case CU_GRAPH_COND_TYPE_SWITCH: {
      const std::size_t body = value();
      return body < count ? run(body) : WorkResult::completed;
    }
  }
  return WorkResult::completed;
}

}  // namespace

WorkResult execute(const Work& work, const ExecutionSite& site) {
  current_site = &site;
  Fuzzer::point();
  const WorkResult result = std::visit([](const auto& piece) { return execute_one(piece); }, work);
  Fuzzer::point();
  return result;
}

}  // namespace simgpu
