// Memory shared between processes: file descriptors of physical memory, and the older handles of
// what cuMemAlloc gave.
#include <unistd.h>

#include <cstring>
#include <vector>

#include "lifecycle.h"
#include "memory/shared_frame.h"

namespace simgpu {
namespace {

bool alike(const CUmemAllocationProp& a, const CUmemAllocationProp& b) {
  return a.type == b.type && a.requestedHandleTypes == b.requestedHandleTypes &&
         a.location.type == b.location.type && a.location.id == b.location.id &&
         std::memcmp(&a.allocFlags, &b.allocFlags, sizeof a.allocFlags) == 0;
}

// The frames behind a range of device memory, all of it, as one kind of memory; none otherwise.
std::vector<Frame*> frames_behind(Machine& m, CUdeviceptr address, std::size_t size) {
  std::vector<Frame*> frames;
  AddressSpace::Range range{};
  for (CUdeviceptr at = address; at - address < size; at = range.begin + range.size) {
    const Mapping* mapping = m.space.find_mapping(at, &range);
    if (mapping == nullptr || mapping->frame->pool == nullptr) return {};
    Frame& frame = *mapping->frame;
    if (frame.pool == &m.host_pool ||
        (!frames.empty() && !alike(frames.front()->properties, frame.properties))) {
      return {};
    }
    frames.push_back(&frame);
  }
  return frames;
}

}  // namespace
}  // namespace simgpu

using namespace simgpu;

extern "C" {

CUresult cuMemGetHandleForAddressRange(void* out, CUdeviceptr address, std::size_t size,
                                       CUmemRangeHandleType type, unsigned long long flags) {
  SIMGPU_CALL(context);
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (out == nullptr || size == 0 || address % page != 0 || size % page != 0 || flags != 0 ||
      type != CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const auto frames = frames_behind(m, address, size);
  if (frames.empty()) return CUDA_ERROR_INVALID_VALUE;
  // Whoever has the file may use all of these pages, as long as it likes.
  int file = -1;
  for (Frame* frame : frames) {
    if (file >= 0) close(file);
    file = export_frame(*frame);
    if (file < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  }
  std::memcpy(out, &file, sizeof file);
  return CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType type, unsigned long long flags) {
  SIMGPU_CALL(driver);
  const auto it = m.frames.find(handle);
  if (out == nullptr || it == m.frames.end() || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  // Memory of another process is that process's to export.
  Frame& frame = *it->second;
  if ((frame.properties.requestedHandleTypes & type) == 0 || frame.pool == nullptr)
    return CUDA_ERROR_INVALID_VALUE;
  const int file = export_frame(frame);
  if (file < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  std::memcpy(out, &file, sizeof file);
  return CUDA_SUCCESS;
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* out, void* os_handle,
                                        CUmemAllocationHandleType type) {
  SIMGPU_CALL(driver);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  const int file = static_cast<int>(reinterpret_cast<std::intptr_t>(os_handle));
  auto frame = import_frame(file, record_of(file));
  if (frame == nullptr) return CUDA_ERROR_INVALID_VALUE;
  frame->handles = 1;
  *out = reinterpret_cast<CUmemGenericAllocationHandle>(frame.get());
  m.frames[*out] = std::move(frame);
  return CUDA_SUCCESS;
}

CUresult cuIpcGetMemHandle(CUipcMemHandle* out, CUdeviceptr address) {
  SIMGPU_CALL(context);
  const Native native = m.find_native(address);
  // Any address of an allocation stands for all of it.
  if (out == nullptr || native.allocation == nullptr || native.pool != nullptr || native.imported) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  AddressSpace::Range range{};
  Frame& frame = *m.space.find_mapping(address, &range)->frame;
  if (frame.ipc_file < 0) frame.ipc_file = export_frame(frame);
  if (frame.ipc_file < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  IpcMemory memory{};
  std::memcpy(memory.magic, kIpcMagic, sizeof kIpcMagic);
  memory.process = getpid();
  memory.file = frame.ipc_file;
  memory.record = frame.record;
  memory.offset = native.base - range.begin;
  memory.size = native.allocation->size;
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &memory, sizeof memory);
  return CUDA_SUCCESS;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  SIMGPU_CALL(context);
  if (out == nullptr || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
    return CUDA_ERROR_INVALID_VALUE;
  return m.imports.open(handle, call.context().home, call.context().device->ordinal, out);
}

CUresult cuIpcOpenMemHandle(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  return cuIpcOpenMemHandle_v2(out, handle, flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr address) {
  SIMGPU_CALL(context);
  CUdeviceptr base = 0;
  const Allocation* allocation = m.imports.find(address, &base);
  if (allocation == nullptr || base != address) return CUDA_ERROR_INVALID_VALUE;
  allocation->context->synchronize(call.lock());  // as cuMemFree: what is in flight may use it
  return m.imports.close(address);
}
}
