#include "memory/heap.h"

#include <vector>

namespace simgpu {
namespace {

constexpr std::size_t kAlignment = 512;
unsigned long long next_allocation_id = 1;

std::size_t rounded(std::size_t size, std::size_t unit) {
  return (size + unit - 1) / unit * unit;
}
bool is_small(std::size_t size) {
  return size < kPageSize;
}

}  // namespace

CUresult Heap::back(std::size_t size, CUdeviceptr* out) {
  auto frame = pool_->allocate(size);
  if (frame == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  frame->properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  frame->properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  CUresult result = space_->reserve(size, 0, 0, out);
  if (result != CUDA_SUCCESS) return result;
  result = space_->map(*out, size, std::move(frame));
  if (result == CUDA_SUCCESS) {
    result = give_access(*out, size);
    if (result != CUDA_SUCCESS) space_->unmap(*out, size);
  }
  if (result != CUDA_SUCCESS) {
    space_->release(*out, size);
  } else {
    backed_ += size;
    backed_ranges_[*out] = size;
  }
  return result;
}

void Heap::unback(CUdeviceptr address, std::size_t size) {
  space_->unmap(address, size);
  space_->release(address, size);
  backed_ -= size;
  backed_ranges_.erase(address);
}

CUresult Heap::give_access(CUdeviceptr address, std::size_t size) {
  std::vector<CUmemAccessDesc> access;
  for (const auto& [device, flags] : access_) {
    access.push_back({{CU_MEM_LOCATION_TYPE_DEVICE, device}, flags});
  }
  return space_->set_access(address, size, access.data(), access.size());
}

void Heap::set_peer(int device, bool has_access) {
  access_[device] = has_access ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  for (const auto& [address, size] : backed_ranges_) give_access(address, size);
}

bool Heap::allocate_small(std::size_t size, CUdeviceptr* out) {
  for (auto& [start, block] : blocks_) {
    if (block.free_bytes < size) continue;
    for (auto gap = block.free.begin(); gap != block.free.end(); ++gap) {
      if (gap->second < size) continue;
      *out = gap->first;
      if (gap->second > size) block.free[gap->first + size] = gap->second - size;
      block.free.erase(*out);
      block.free_bytes -= size;
      return true;
    }
  }
  return false;
}

CUresult Heap::allocate(std::size_t size, Context* context, CUdeviceptr* out) {
  if (is_small(size)) {
    const std::size_t taken = rounded(size, kAlignment);
    if (!allocate_small(taken, out)) {
      CUdeviceptr start = 0;
      if (CUresult result = back(kPageSize, &start); result != CUDA_SUCCESS) return result;
      blocks_[start] = Block{{{start, kPageSize}}, kPageSize};
      allocate_small(taken, out);
    }
  } else if (CUresult result = back(rounded(size, kPageSize), out); result != CUDA_SUCCESS) {
    return result;
  }
  allocations_[*out] = Allocation{size, context, next_allocation_id++};
  return CUDA_SUCCESS;
}

CUresult Heap::release(CUdeviceptr address) {
  auto it = allocations_.find(address);
  if (it == allocations_.end()) return CUDA_ERROR_INVALID_VALUE;
  const std::size_t size = it->second.size;
  allocations_.erase(it);
  if (!is_small(size)) {
    unback(address, rounded(size, kPageSize));
    return CUDA_SUCCESS;
  }
  auto block = std::prev(blocks_.upper_bound(address));
  auto& gaps = block->second.free;
  auto gap = gaps.emplace(address, rounded(size, kAlignment)).first;
  block->second.free_bytes += gap->second;
  auto merge = [&](auto left, auto right) {
    if (left->first + left->second != right->first) return;
    left->second += right->second;
    gaps.erase(right);
  };
  if (auto next = std::next(gap); next != gaps.end()) merge(gap, next);
  if (gap != gaps.begin()) merge(std::prev(gap), gap);
  if (block->second.free_bytes == kPageSize) {
    unback(block->first, kPageSize);
    blocks_.erase(block);
  }
  return CUDA_SUCCESS;
}

void Heap::release_all(const Context* context) {
  std::vector<CUdeviceptr> owned;
  for (const auto& [address, allocation] : allocations_) {
    if (allocation.context == context) owned.push_back(address);
  }
  for (CUdeviceptr address : owned) release(address);
}

const Allocation* Heap::find(CUdeviceptr address, CUdeviceptr* base) const {
  auto it = allocations_.upper_bound(address);
  if (it == allocations_.begin()) return nullptr;
  --it;
  if (address - it->first >= it->second.size) return nullptr;
  *base = it->first;
  return &it->second;
}

}  // namespace simgpu
