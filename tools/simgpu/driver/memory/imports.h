// Memory of other processes that cuIpcOpenMemHandle mapped into this one.
// Locking: the caller holds the machine's lock.
#pragma once

#include <cuda.h>

#include <map>

#include "memory/heap.h"

namespace simgpu {

// What a CUipcMemHandle holds: where the exporting process has the memory.
struct IpcMemory {
  char magic[8];
  int process, file;
  std::int64_t record;
  std::uint64_t offset, size;  // of the allocation in the frame
};
constexpr char kIpcMagic[8] = {'s', 'i', 'm', 'g', 'p', 'u', 'I', '1'};
static_assert(sizeof(IpcMemory) <= sizeof(CUipcMemHandle));

class Imports {
 public:
  explicit Imports(AddressSpace* space) : space_(space) {}

  // CUDA_ERROR_INVALID_VALUE for no handle of a living allocation, CUDA_ERROR_INVALID_CONTEXT for
  // one of this process. What the context has open already is given again, and counted.
  CUresult open(const CUipcMemHandle& handle, Context* context, int device, CUdeviceptr* out);
  // CUDA_ERROR_INVALID_VALUE unless `address` is what open() gave.
  CUresult close(CUdeviceptr address);
  void close_all(const Context* context);

  const Allocation* find(CUdeviceptr address, CUdeviceptr* base) const;

 private:
  struct Opened {
    Allocation allocation;
    CUipcMemHandle handle;
    CUdeviceptr mapping;
    std::size_t mapped;
    unsigned references;
  };
  void unmap(const Opened& opened);

  AddressSpace* space_;
  std::map<CUdeviceptr, Opened> opened_;
};

}  // namespace simgpu
