#include "memory/host_memory.h"

#include <sys/mman.h>

#include <algorithm>

namespace simgpu {
namespace {

constexpr std::size_t kHostPage = 4096;
unsigned long long next_host_id = 1ull << 40;

std::size_t rounded(std::size_t size) {
  return (size + kHostPage - 1) / kHostPage * kHostPage;
}

}  // namespace

CUresult HostMemory::allocate(std::size_t size, unsigned flags, Context* context, void** out) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (rounded(size) > budget_ - used_) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory =
      mmap(nullptr, rounded(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  used_ += rounded(size);
  peak_ = std::max(peak_, used_);
  ranges_[static_cast<char*>(memory)] = {size, flags, false, context, next_host_id++};
  *out = memory;
  return CUDA_SUCCESS;
}

CUresult HostMemory::release(void* address) {
  auto it = ranges_.find(static_cast<char*>(address));
  if (it == ranges_.end() || it->second.registered) return CUDA_ERROR_INVALID_VALUE;
  used_ -= rounded(it->second.size);
  munmap(address, rounded(it->second.size));
  ranges_.erase(it);
  return CUDA_SUCCESS;
}

CUresult HostMemory::add_registered(void* address, std::size_t size, unsigned flags,
                                    Context* context) {
  if (address == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
  const char* begin = static_cast<char*>(address);
  auto next = ranges_.lower_bound(begin);
  const bool overlaps_next = next != ranges_.end() && next->first < begin + size;
  const void* base = nullptr;
  if (overlaps_next || find(address, &base) != nullptr) {
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  ranges_[begin] = {size, flags, true, context, next_host_id++};
  return CUDA_SUCCESS;
}

CUresult HostMemory::remove_registered(void* address) {
  auto it = ranges_.find(static_cast<char*>(address));
  if (it == ranges_.end()) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  if (!it->second.registered) return CUDA_ERROR_INVALID_VALUE;
  ranges_.erase(it);
  return CUDA_SUCCESS;
}

const HostRange* HostMemory::find(const void* address, const void** base) const {
  const char* wanted = static_cast<const char*>(address);
  auto it = ranges_.upper_bound(wanted);
  if (it == ranges_.begin()) return nullptr;
  --it;
  if (wanted >= it->first + it->second.size) return nullptr;
  *base = it->first;
  return &it->second;
}

}  // namespace simgpu
