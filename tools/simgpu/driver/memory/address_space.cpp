#include "memory/address_space.h"

#include <sys/mman.h>

#include <algorithm>

namespace simgpu {
namespace {

// The entry that contains `address`, of a map from start to something with a size.
template <typename Map, typename Size>
auto containing(Map& map, CUdeviceptr address, Size size_of) {
  auto it = map.upper_bound(address);
  if (it == map.begin()) return map.end();
  --it;
  return address - it->first < size_of(it->second) ? it : map.end();
}

std::size_t plain(const std::size_t& size) {
  return size;
}
std::size_t of_mapping(const Mapping& mapping) {
  return mapping.size;
}

void* pointer(CUdeviceptr address) {
  return reinterpret_cast<void*>(address);
}

}  // namespace

AddressSpace::AddressSpace(std::size_t size) {
  // Halve until the system grants it: sanitizers and containers leave less room than a bare
  // process.
  for (; size >= kPageSize; size /= 2) {
    void* arena = mmap(nullptr, size + kPageSize, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) continue;
    begin_ = (reinterpret_cast<CUdeviceptr>(arena) + kPageSize - 1) / kPageSize * kPageSize;
    size_ = size;
    free_[begin_] = size_;
    return;
  }
}

CUresult AddressSpace::reserve(std::size_t size, std::size_t alignment, CUdeviceptr hint,
                               CUdeviceptr* out) {
  alignment = std::max(alignment, kPageSize);
  if (size == 0 || size % 4096 != 0 || (alignment & (alignment - 1)) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size = (size + kPageSize - 1) / kPageSize * kPageSize;
  auto carve = [&](auto gap, CUdeviceptr start) {
    const CUdeviceptr gap_begin = gap->first, gap_end = gap_begin + gap->second;
    free_.erase(gap);
    if (start > gap_begin) free_[gap_begin] = start - gap_begin;
    if (start + size < gap_end) free_[start + size] = gap_end - start - size;
    reservations_[start] = size;
    *out = start;
    return CUDA_SUCCESS;
  };
  if (hint != 0 && hint % alignment == 0) {
    auto gap = containing(free_, hint, plain);
    if (gap != free_.end() && gap->first + gap->second - hint >= size) return carve(gap, hint);
  }
  for (auto gap = free_.begin(); gap != free_.end(); ++gap) {
    const CUdeviceptr start = (gap->first + alignment - 1) / alignment * alignment;
    if (start + size <= gap->first + gap->second) return carve(gap, start);
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult AddressSpace::release(CUdeviceptr address, std::size_t size) {
  auto reservation = reservations_.find(address);
  size = (size + kPageSize - 1) / kPageSize * kPageSize;
  if (reservation == reservations_.end() || reservation->second != size) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto mapping = mappings_.lower_bound(address);
  if (mapping != mappings_.end() && mapping->first < address + size)
    return CUDA_ERROR_INVALID_VALUE;
  reservations_.erase(reservation);
  auto after = free_.lower_bound(address);
  if (after != free_.end() && address + size == after->first) {
    size += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == address) {
      before->second += size;
      return CUDA_SUCCESS;
    }
  }
  free_[address] = size;
  return CUDA_SUCCESS;
}

CUresult AddressSpace::map(CUdeviceptr address, std::size_t size, std::shared_ptr<Frame> frame) {
  if (size == 0 || size % kPageSize != 0 || address % kPageSize != 0 || size > frame->size) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto reservation = containing(reservations_, address, plain);
  if (reservation == reservations_.end() ||
      reservation->first + reservation->second - address < size) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto next = mappings_.lower_bound(address);
  if (next != mappings_.end() && next->first < address + size) return CUDA_ERROR_INVALID_VALUE;
  if (containing(mappings_, address, of_mapping) != mappings_.end())
    return CUDA_ERROR_INVALID_VALUE;

  std::size_t done = 0;
  for (const Extent& extent : frame->extents) {
    const std::size_t length = std::min(extent.pages * kPageSize, size - done);
    if (length == 0) break;
    void* result = mmap(pointer(address + done), length, PROT_NONE, MAP_SHARED | MAP_FIXED,
                        frame->file(), static_cast<off_t>(extent.first_page * kPageSize));
    if (result == MAP_FAILED) {
      mmap(pointer(address), size, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    done += length;
  }
  mappings_[address] = Mapping{size, std::move(frame), {}, CU_MEM_ACCESS_FLAGS_PROT_NONE};
  return CUDA_SUCCESS;
}

CUresult AddressSpace::unmap(CUdeviceptr address, std::size_t size) {
  auto first = mappings_.find(address);
  if (size == 0 || first == mappings_.end()) return CUDA_ERROR_INVALID_VALUE;
  auto last = first;
  CUdeviceptr end = address;
  for (; last != mappings_.end() && last->first == end && end < address + size; ++last) {
    end += last->second.size;
  }
  if (end != address + size) return CUDA_ERROR_INVALID_VALUE;
  mmap(pointer(address), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
       -1, 0);
  mappings_.erase(first, last);
  return CUDA_SUCCESS;
}

bool AddressSpace::fully_mapped(CUdeviceptr address, std::size_t size) const {
  auto it = mappings_.find(address);
  CUdeviceptr end = address;
  for (; it != mappings_.end() && it->first == end && end < address + size; ++it) {
    end += it->second.size;
  }
  return size > 0 && end == address + size;
}

CUresult AddressSpace::set_access(CUdeviceptr address, std::size_t size,
                                  const CUmemAccessDesc* descriptions, std::size_t count) {
  if (!fully_mapped(address, size)) return CUDA_ERROR_INVALID_VALUE;
  for (auto it = mappings_.find(address); it != mappings_.end() && it->first < address + size;
       ++it) {
    Mapping& mapping = it->second;
    for (std::size_t i = 0; i < count; ++i) {
      const bool host = descriptions[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE;
      if (host && mapping.frame->properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
        return CUDA_ERROR_INVALID_VALUE;  // host access is for host-located memory (cuda.h:
                                          // cuMemSetAccess)
      }
    }
  }
  for (auto it = mappings_.find(address); it != mappings_.end() && it->first < address + size;
       ++it) {
    Mapping& mapping = it->second;
    for (std::size_t i = 0; i < count; ++i) {
      const CUmemAccessDesc& description = descriptions[i];
      if (description.location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
        mapping.device_access[description.location.id] = description.flags;
      } else {
        mapping.host_access = description.flags;
      }
    }
    if (mprotect(pointer(it->first), mapping.size, allowed(mapping)) != 0)
      return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return CUDA_SUCCESS;
}

// One process, one page table: what the CPU may do, those whose view it is may do too.
int AddressSpace::allowed(const Mapping& mapping) const {
  int result = protection(mapping.host_access);
  for (const auto& [device, flags] : mapping.device_access) {
    if (view_ < 0 || view_ == device) result |= protection(flags);
  }
  return result;
}

void AddressSpace::show(int device) {
  view_ = device;
  for (const auto& [address, mapping] : mappings_) {
    mprotect(pointer(address), mapping.size, allowed(mapping));
  }
}

bool AddressSpace::find_reservation(CUdeviceptr address, Range* range) const {
  auto it = containing(reservations_, address, plain);
  if (it == reservations_.end()) return false;
  *range = {it->first, it->second};
  return true;
}

const Mapping* AddressSpace::find_mapping(CUdeviceptr address, Range* range) const {
  auto it = containing(mappings_, address, of_mapping);
  if (it == mappings_.end()) return nullptr;
  *range = {it->first, it->second.size};
  return &it->second;
}

std::size_t AddressSpace::mappings_in(CUdeviceptr address, std::size_t size) const {
  return static_cast<std::size_t>(
      std::distance(mappings_.lower_bound(address), mappings_.lower_bound(address + size)));
}

int AddressSpace::protection(CUmemAccess_flags flags) {
  switch (flags) {
    case CU_MEM_ACCESS_FLAGS_PROT_READWRITE:
      return PROT_READ | PROT_WRITE;
    case CU_MEM_ACCESS_FLAGS_PROT_READ:
      return PROT_READ;
    default:
      return PROT_NONE;
  }
}

}  // namespace simgpu
