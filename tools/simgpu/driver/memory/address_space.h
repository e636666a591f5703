// The process's device addresses: one arena, PROT_NONE wherever nothing is mapped, so that a stray
// access faults. Reservations are carved from it; mappings put frames behind them; access opens
// them. Rules and refusals are the driver's (cuda.h, "Virtual Memory Management"). Locking: the
// caller holds the machine's lock.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <map>
#include <memory>

#include "memory/physical_pool.h"

namespace simgpu {

struct Mapping {
  std::size_t size;
  std::shared_ptr<Frame> frame;
  std::map<int, CUmemAccess_flags> device_access;  // by device ordinal
  CUmemAccess_flags host_access = CU_MEM_ACCESS_FLAGS_PROT_NONE;
};

class AddressSpace {
 public:
  explicit AddressSpace(std::size_t size);

  bool contains(CUdeviceptr address) const { return address - begin_ < size_; }

  CUresult reserve(std::size_t size, std::size_t alignment, CUdeviceptr hint, CUdeviceptr* out);
  CUresult release(CUdeviceptr address, std::size_t size);
  CUresult map(CUdeviceptr address, std::size_t size, std::shared_ptr<Frame> frame);
  CUresult unmap(CUdeviceptr address, std::size_t size);
  CUresult set_access(CUdeviceptr address, std::size_t size, const CUmemAccessDesc* descriptions,
                      std::size_t count);

  // Whose accesses the page table allows: one device's, or, as -1, those of all. See DeviceView.
  int view() const { return view_; }
  void show(int device);

  struct Range {
    CUdeviceptr begin;
    std::size_t size;
  };
  // The reservation or mapping that contains the address; false when there is none.
  bool find_reservation(CUdeviceptr address, Range* range) const;
  const Mapping* find_mapping(CUdeviceptr address, Range* range) const;

  std::size_t mappings_in(CUdeviceptr address, std::size_t size) const;

  static int protection(CUmemAccess_flags flags);

 private:
  bool fully_mapped(CUdeviceptr address, std::size_t size) const;
  int allowed(const Mapping& mapping) const;

  CUdeviceptr begin_ = 0;
  std::size_t size_ = 0;
  int view_ = -1;
  std::map<CUdeviceptr, std::size_t> free_;
  std::map<CUdeviceptr, std::size_t> reservations_;
  std::map<CUdeviceptr, Mapping> mappings_;
};

}  // namespace simgpu
