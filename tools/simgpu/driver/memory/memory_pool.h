// Stream-ordered memory of one device (cuda.h, "Stream Ordered Memory Allocator"). An address is
// given at once; it may be accessed from where the stream reaches the allocation until it reaches
// the free, and faults before and after (below 2 MiB, where pages are shared, it does not). What
// was freed is reused: at once in the order of the same stream, else when the free was reached or
// by waiting for it. Locking: the caller holds the machine's lock.
#pragma once

#include <cuda.h>

#include <list>
#include <map>
#include <memory>
#include <vector>

#include "engine/stream.h"
#include "memory/heap.h"

namespace simgpu {

class MemoryPool {
 public:
  MemoryPool(int device, std::size_t most, PhysicalPool* memory, AddressSpace* space);

  const int device;
  bool destroyed = false;  // by the application; lives on until drained()
  // Attributes, as cuMemPoolSetAttribute takes them.
  int follow_events = 1, opportunistic = 1, internal_dependencies = 1;
  std::uint64_t release_threshold = 0;
  std::uint64_t reserved_high = 0, used_high = 0;

  // `*after` gets what the allocation has to wait for besides its stream.
  CUresult allocate(std::size_t size, const Stream& stream, CUdeviceptr* out,
                    std::vector<OperationPtr>* after);
  void open(CUdeviceptr address);  // the stream reached the allocation

  // A free in two steps: announced when it is asked for, done when the stream reaches it.
  struct Free {
    CUdeviceptr address;
    std::size_t size;
    const Stream* stream;
    OperationPtr operation;
    bool taken = false;  // by an allocation that follows
  };
  std::shared_ptr<Free> announce_free(CUdeviceptr address, const Stream* stream);
  void finish_free(const std::shared_ptr<Free>& free);

  // Gives memory that nothing uses back, while at least `keep` bytes stay reserved.
  void trim(std::size_t keep);
  bool drained() const { return live_.empty() && frees_.empty(); }

  void set_access(int peer, CUmemAccess_flags flags);
  CUmemAccess_flags access(int peer) const;

  std::uint64_t reserved() const { return heap_.backed(); }
  std::uint64_t used() const { return used_; }
  // An allocation that was not freed; null elsewhere.
  const Allocation* find(CUdeviceptr address, CUdeviceptr* base) const;
  bool owns(CUdeviceptr address) const;

 private:
  struct Live {
    Allocation allocation;
    std::size_t taken;  // bytes, of the heap
    bool open;
  };

  bool reuse(std::size_t size, const Stream& stream, CUdeviceptr* out);
  bool reuse_by_waiting(std::size_t size, CUdeviceptr* out, std::size_t* taken,
                        std::vector<OperationPtr>* after);
  void apply_access(CUdeviceptr address, std::size_t size, bool open);

  std::size_t most_;
  AddressSpace* space_;
  Heap heap_;
  std::map<int, CUmemAccess_flags> access_;
  std::map<CUdeviceptr, Live> live_;
  std::multimap<std::size_t, CUdeviceptr> cached_;  // backed, and used by nothing
  std::list<std::shared_ptr<Free>> frees_;          // announced
  std::uint64_t used_ = 0;
};

}  // namespace simgpu
