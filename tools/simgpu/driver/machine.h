// The simulated machine: its GPUs, memory, and every live object of the process, behind one lock.
// Made by cuInit and never destroyed, since work may run until the process ends.
#pragma once

#include <cuda.h>
#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "context.h"
#include "cost/costs.h"
#include "engine/stream.h"
#include "fault_plan.h"
#include "graph/graph.h"
#include "identity.h"
#include "memory/address_space.h"
#include "memory/heap.h"
#include "memory/host_memory.h"
#include "memory/imports.h"
#include "memory/memory_pool.h"
#include "memory/physical_pool.h"
#include "module/image.h"
#include "options.h"

namespace simgpu {

// Objects of one kind by their handle; an unknown handle finds nothing.
template <typename T, typename Handle>
class HandleTable {
 public:
  Handle add(std::shared_ptr<T> object) {
    T* raw = object.get();
    objects_[raw] = std::move(object);
    return reinterpret_cast<Handle>(raw);
  }
  std::shared_ptr<T> find(Handle handle) const {
    auto it = objects_.find(reinterpret_cast<T*>(handle));
    return it == objects_.end() ? nullptr : it->second;
  }
  std::shared_ptr<T> take(Handle handle) {
    auto object = find(handle);
    objects_.erase(reinterpret_cast<T*>(handle));
    return object;
  }
  auto begin() { return objects_.begin(); }
  auto end() { return objects_.end(); }

 private:
  std::unordered_map<T*, std::shared_ptr<T>> objects_;
};

struct Device {
  Device(int index, std::size_t where, const Options& options, MachineFile* machine,
         AddressSpace* space)
      : ordinal(index),
        place(where),
        identity(place),
        shared(machine),
        hbm(options.hbm, machine, place),
        heap(index, &hbm, space) {}

  const int ordinal;        // in this process
  const std::size_t place;  // in the machine
  const Identity identity;
  MachineFile* const shared;  // null where processes share nothing
  PhysicalPool hbm;
  Heap heap;
  MemoryPool* default_pool = nullptr;
  MemoryPool* current_pool = nullptr;
  std::unique_ptr<Context> primary;
  unsigned primary_references = 0, primary_flags = 0;
};

// An allocation of the driver's: cuMemAlloc's, of a pool, or of another process.
struct Native {
  Device* device = nullptr;
  MemoryPool* pool = nullptr;              // null for cuMemAlloc's
  const Allocation* allocation = nullptr;  // null when there is none
  CUdeviceptr base = 0;
  bool imported = false;
};

struct Machine {
  Machine(const Options& options, MachineFile* shared);

  const pid_t process;
  Options options;
  std::mutex mutex;
  std::condition_variable completed;  // some operation ended
  FaultPlan faults;
  std::unique_ptr<Costs> costs;  // none without a device profile
  AddressSpace space;
  PhysicalPool host_pool;
  HostMemory host_memory;
  Imports imports;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<std::unique_ptr<Context>> contexts;  // made by cuCtxCreate; kept when destroyed

  HandleTable<Stream, CUstream> streams;
  HandleTable<Event, CUevent> events;
  HandleTable<Module, CUmodule> modules;
  HandleTable<Library, CUlibrary> libraries;
  HandleTable<Function, CUfunction> functions;
  HandleTable<Kernel, CUkernel> kernels;
  HandleTable<MemoryPool, CUmemoryPool> pools;  // those destroyed too, until they are drained
  HandleTable<Graph, CUgraph> graphs;
  HandleTable<GraphExec, CUgraphExec> execs;
  std::unordered_map<CUgraphNode, Node*> nodes;
  std::unordered_map<ConditionalValue*, std::shared_ptr<ConditionalValue>> conditional_values;
  std::unordered_map<CUmemGenericAllocationHandle, std::shared_ptr<Frame>> frames;
  std::vector<std::shared_ptr<Capture>> captures;  // ongoing
  unsigned long long next_id = 1;

  Native find_native(CUdeviceptr address);
  // Whether the driver mapped something of its own there, an allocation or a pool's reserve.
  bool is_native(CUdeviceptr address);
  void drop_drained_pools();
  void trim_pools();  // to their release thresholds, when the host has waited for the GPU

  void wake_streams();  // of all contexts: an operation that others wait for ended
  std::vector<std::shared_ptr<Stream>> all_streams() const;
  std::vector<Context*> live_contexts();
  // The context behind a handle, also a destroyed one; null for what never was one.
  Context* find_context(CUcontext handle);

  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex); }
  template <typename Done>
  void wait(std::unique_lock<std::mutex>& lock, Done done) {
    completed.wait(lock, done);
  }
};

// Null before cuInit succeeded.
Machine* machine();

}  // namespace simgpu
