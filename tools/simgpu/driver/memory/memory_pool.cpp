#include "memory/memory_pool.h"

#include <algorithm>

namespace simgpu {
namespace {

constexpr std::size_t kSmallUnit = 512;
unsigned long long next_pool_allocation_id = 1ull << 50;

std::size_t rounded(std::size_t size) {
  const std::size_t unit = size < kPageSize ? kSmallUnit : kPageSize;
  return (size + unit - 1) / unit * unit;
}

}  // namespace

MemoryPool::MemoryPool(int owner, std::size_t most, PhysicalPool* memory, AddressSpace* space)
    : device(owner),
      most_(most == 0 ? SIZE_MAX : most),
      space_(space),
      heap_(owner, memory, space),
      access_{{owner, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}} {}

// Pages are whole, so that small allocations, which share theirs, stay open.
void MemoryPool::apply_access(CUdeviceptr address, std::size_t size, bool open) {
  const CUdeviceptr begin = address / kPageSize * kPageSize;
  const CUdeviceptr end = (address + size + kPageSize - 1) / kPageSize * kPageSize;
  if (!open && size < kPageSize) return;
  std::vector<CUmemAccessDesc> descriptions;
  for (const auto& [peer, flags] : access_) {
    descriptions.push_back(
        {{CU_MEM_LOCATION_TYPE_DEVICE, peer}, open ? flags : CU_MEM_ACCESS_FLAGS_PROT_NONE});
  }
  space_->set_access(begin, end - begin, descriptions.data(), descriptions.size());
}

bool MemoryPool::reuse(std::size_t size, const Stream& stream, CUdeviceptr* out) {
  for (const auto& free : frees_) {
    if (free->taken || free->stream != &stream || free->size != size) continue;
    free->taken = true;
    *out = free->address;
    return true;
  }
  const auto block = opportunistic != 0 ? cached_.find(size) : cached_.end();
  if (block == cached_.end()) return false;
  *out = block->second;
  cached_.erase(block);
  return true;
}

bool MemoryPool::reuse_by_waiting(std::size_t size, CUdeviceptr* out, std::size_t* taken,
                                  std::vector<OperationPtr>* after) {
  if (internal_dependencies == 0) return false;
  for (const auto& free : frees_) {
    const bool fits = size < kPageSize ? free->size == size : free->size >= size;
    if (free->taken || !fits || free->operation == nullptr) continue;
    free->taken = true;
    after->push_back(free->operation);
    *out = free->address;
    *taken = free->size;
    return true;
  }
  return false;
}

CUresult MemoryPool::allocate(std::size_t size, const Stream& stream, CUdeviceptr* out,
                              std::vector<OperationPtr>* after) {
  std::size_t taken = rounded(size);
  if (!reuse(taken, stream, out)) {
    auto make = [&] {
      if (heap_.backed() + (taken < kPageSize ? 0 : taken) > most_) return CUDA_ERROR_OUT_OF_MEMORY;
      return heap_.allocate(taken, nullptr, out);
    };
    CUresult result = make();
    if (result == CUDA_ERROR_OUT_OF_MEMORY && !cached_.empty()) {
      trim(0);
      result = make();
    }
    if (result == CUDA_SUCCESS) {
      apply_access(*out, taken, false);
    } else if (!reuse_by_waiting(taken, out, &taken, after)) {
      return result;
    }
  }
  live_[*out] = Live{{size, nullptr, next_pool_allocation_id++}, taken, false};
  used_ += taken;
  used_high = std::max(used_high, used_);
  reserved_high = std::max<std::uint64_t>(reserved_high, reserved());
  return CUDA_SUCCESS;
}

void MemoryPool::open(CUdeviceptr address) {
  const auto it = live_.find(address);
  // An allocation that was freed already is opened too: its free comes later in the stream.
  const auto freed = std::find_if(frees_.begin(), frees_.end(),
                                  [&](const auto& free) { return free->address == address; });
  if (it == live_.end() && freed == frees_.end()) return;
  if (it != live_.end()) it->second.open = true;
  apply_access(address, it != live_.end() ? it->second.taken : (*freed)->size, true);
}

std::shared_ptr<MemoryPool::Free> MemoryPool::announce_free(CUdeviceptr address,
                                                            const Stream* stream) {
  const auto it = live_.find(address);
  if (it == live_.end()) return nullptr;
  auto free = std::make_shared<Free>(Free{address, it->second.taken, stream, nullptr});
  used_ -= free->size;
  live_.erase(it);
  frees_.push_back(free);
  return free;
}

void MemoryPool::finish_free(const std::shared_ptr<Free>& free) {
  frees_.remove(free);
  apply_access(free->address, free->size, false);
  if (free->taken) {
    const auto heir = live_.find(free->address);
    if (heir != live_.end()) heir->second.open = false;
    return;
  }
  if (free->size < kPageSize) {
    heap_.release(free->address);
  } else {
    cached_.emplace(free->size, free->address);
  }
}

void MemoryPool::trim(std::size_t keep) {
  for (auto block = cached_.begin(); block != cached_.end();) {
    if (heap_.backed() - block->first < keep) {
      ++block;
      continue;
    }
    heap_.release(block->second);
    block = cached_.erase(block);
  }
}

void MemoryPool::set_access(int peer, CUmemAccess_flags flags) {
  access_[peer] = flags;
  for (const auto& [address, live] : live_) {
    if (live.open) apply_access(address, live.taken, true);
  }
}

CUmemAccess_flags MemoryPool::access(int peer) const {
  const auto it = access_.find(peer);
  return it == access_.end() ? CU_MEM_ACCESS_FLAGS_PROT_NONE : it->second;
}

const Allocation* MemoryPool::find(CUdeviceptr address, CUdeviceptr* base) const {
  auto it = live_.upper_bound(address);
  if (it == live_.begin()) return nullptr;
  --it;
  if (address - it->first >= it->second.allocation.size) return nullptr;
  *base = it->first;
  return &it->second.allocation;
}

bool MemoryPool::owns(CUdeviceptr address) const {
  CUdeviceptr base = 0;
  return heap_.find(address, &base) != nullptr;
}

}  // namespace simgpu
