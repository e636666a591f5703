// What cuMemAlloc hands out on one device: small requests packed into 2 MiB blocks, larger ones
// with frames of their own. Locking: the caller holds the machine's lock.
#pragma once

#include <cuda.h>

#include <map>
#include <memory>

#include "memory/address_space.h"

namespace simgpu {

class Context;

struct Allocation {
  std::size_t size;  // as asked for
  Context* context;
  unsigned long long id;  // CU_POINTER_ATTRIBUTE_BUFFER_ID
};

class Heap {
 public:
  Heap(int device, PhysicalPool* pool, AddressSpace* space)
      : device_(device),
        pool_(pool),
        space_(space),
        access_{{device, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}} {}

  CUresult allocate(std::size_t size, Context* context, CUdeviceptr* out);
  // CUDA_ERROR_INVALID_VALUE unless `address` is what allocate() gave.
  CUresult release(CUdeviceptr address);
  void release_all(const Context* context);

  // Access of another device to all of it, now and later.
  void set_peer(int device, bool has_access);

  std::size_t backed() const { return backed_; }  // physical memory, in bytes

  const Allocation* find(CUdeviceptr address, CUdeviceptr* base) const;

 private:
  struct Block {
    std::map<CUdeviceptr, std::size_t> free;
    std::size_t free_bytes = 0;
  };

  CUresult back(std::size_t size, CUdeviceptr* out);
  void unback(CUdeviceptr address, std::size_t size);
  CUresult give_access(CUdeviceptr address, std::size_t size);
  bool allocate_small(std::size_t size, CUdeviceptr* out);

  int device_;
  PhysicalPool* pool_;
  AddressSpace* space_;
  std::size_t backed_ = 0;
  std::map<int, CUmemAccess_flags> access_;  // by device
  std::map<CUdeviceptr, std::size_t> backed_ranges_;
  std::map<CUdeviceptr, Allocation> allocations_;
  std::map<CUdeviceptr, Block> blocks_;  // by the block's start
};

}  // namespace simgpu
