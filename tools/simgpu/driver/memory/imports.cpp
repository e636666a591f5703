#include "memory/imports.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "memory/shared_frame.h"

namespace simgpu {
namespace {

std::shared_ptr<Frame> frame_of(const IpcMemory& memory) {
  const std::string path =
      "/proc/" + std::to_string(memory.process) + "/fd/" + std::to_string(memory.file);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  auto frame = import_frame(file, memory.record);
  ::close(file);
  return frame;
}

}  // namespace

CUresult Imports::open(const CUipcMemHandle& handle, Context* context, int device,
                       CUdeviceptr* out) {
  for (auto& [address, opened] : opened_) {
    if (opened.allocation.context != context ||
        std::memcmp(&opened.handle, &handle, sizeof handle) != 0) {
      continue;
    }
    ++opened.references;
    *out = address;
    return CUDA_SUCCESS;
  }
  IpcMemory memory;
  std::memcpy(&memory, &handle, sizeof memory);
  if (std::memcmp(memory.magic, kIpcMagic, sizeof kIpcMagic) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (memory.process == getpid()) return CUDA_ERROR_INVALID_CONTEXT;
  auto frame = frame_of(memory);
  if (frame == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const unsigned long long id = frame->id;
  const std::size_t size = frame->size;
  CUdeviceptr mapping = 0;
  if (CUresult result = space_->reserve(size, 0, 0, &mapping); result != CUDA_SUCCESS)
    return result;
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, device},
                               CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  if (space_->map(mapping, size, std::move(frame)) != CUDA_SUCCESS ||
      space_->set_access(mapping, size, &access, 1) != CUDA_SUCCESS) {
    space_->unmap(mapping, size);
    space_->release(mapping, size);
    return CUDA_ERROR_MAP_FAILED;
  }
  *out = mapping + memory.offset;
  opened_[*out] = Opened{{memory.size, context, id}, handle, mapping, size, 1};
  return CUDA_SUCCESS;
}

CUresult Imports::close(CUdeviceptr address) {
  const auto it = opened_.find(address);
  if (it == opened_.end()) return CUDA_ERROR_INVALID_VALUE;
  if (--it->second.references > 0) return CUDA_SUCCESS;
  unmap(it->second);
  opened_.erase(it);
  return CUDA_SUCCESS;
}

void Imports::close_all(const Context* context) {
  for (auto it = opened_.begin(); it != opened_.end();) {
    const bool ends = it->second.allocation.context == context;
    if (ends) unmap(it->second);
    it = ends ? opened_.erase(it) : std::next(it);
  }
}

void Imports::unmap(const Opened& opened) {
  space_->unmap(opened.mapping, opened.mapped);
  space_->release(opened.mapping, opened.mapped);
}

const Allocation* Imports::find(CUdeviceptr address, CUdeviceptr* base) const {
  auto it = opened_.upper_bound(address);
  if (it == opened_.begin()) return nullptr;
  --it;
  if (address - it->first >= it->second.allocation.size) return nullptr;
  *base = it->first;
  return &it->second.allocation;
}

}  // namespace simgpu
