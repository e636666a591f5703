// Page-locked host memory: what cuMemAllocHost made and what cuMemHostRegister locked.
// Locking: the caller holds the machine's lock.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <map>

namespace simgpu {

class Context;

// Set in HostRange::flags for a module's __device__ variables, which live where the module's code
// does but are device memory to the application.
constexpr unsigned kModuleVariable = 1u << 31;

struct HostRange {
  std::size_t size;
  unsigned flags;
  bool registered;  // by cuMemHostRegister; else ours to unmap
  Context* context;
  unsigned long long id;
};

class HostMemory {
 public:
  explicit HostMemory(std::size_t budget) : budget_(budget) {}

  CUresult allocate(std::size_t size, unsigned flags, Context* context, void** out);
  CUresult release(void* address);
  CUresult add_registered(void* address, std::size_t size, unsigned flags, Context* context);
  CUresult remove_registered(void* address);

  const HostRange* find(const void* address, const void** base) const;
  std::size_t peak() const { return peak_; }

 private:
  std::size_t budget_, used_ = 0, peak_ = 0;
  std::map<const char*, HostRange> ranges_;
};

}  // namespace simgpu
