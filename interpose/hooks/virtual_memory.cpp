// Applications that reserve, create and map device memory themselves (PyTorch's expandable
// segments, vLLM's sleep mode, kvcached, NCCL): what is on the paged device and can be in frames is
// paged. All else is the driver's; memory of ours goes there by its real handle. cuMemAlloc's
// memory has no mapping that a program could see, hold, export or take away.
#include "runtime/virtual_memory.h"

#include <new>

#include "interpose/cuda_result.h"
#include "interpose/hook_scope.h"

namespace vhbm::interpose {
namespace {

VirtualMemory* ours(const HookScope& scope) {
  Runtime* const runtime = scope.runtime();
  return runtime == nullptr ? nullptr : &runtime->virtual_memory();
}

// nullptr where the driver is to be asked: about addresses outside the window ...
VirtualMemory* in_window(const HookScope& scope, CUdeviceptr address, std::size_t size) {
  Runtime* const runtime = scope.runtime();
  return runtime != nullptr && runtime->overlaps({address}, {size}) ? &runtime->virtual_memory()
                                                                    : nullptr;
}

// ... where no memory of ours is mapped either.
VirtualMemory* concerned(const HookScope& scope, CUdeviceptr address, std::size_t size) {
  VirtualMemory* const memory = ours(scope);
  return memory != nullptr && memory->concerns({{address}, {size}}) ? memory : nullptr;
}

template <typename Work>
CUresult answer(Work&& work) noexcept {
  try {
    return to_cuda(work());
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
}

// A call that hands one handle to the driver, of its own kind: `call(handle)`.
template <typename Call>
CUresult with_real(const HookScope& scope, CUmemGenericAllocationHandle handle, Call&& call) {
  VirtualMemory* const memory = ours(scope);
  if (memory == nullptr || !VirtualMemory::is_handle(handle)) return call(handle);
  CUmemGenericAllocationHandle real = 0;
  const CUresult result = answer([&] {
    const auto made = memory->real(handle);
    if (made.ok()) real = *made;
    return made.status();
  });
  return result == CUDA_SUCCESS ? call(real) : result;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm;
using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemAddressReserve(CUdeviceptr* out, std::size_t size, std::size_t alignment,
                                     CUdeviceptr hint, unsigned long long flags) {
  const HookScope scope;
  Runtime* const runtime = scope.start();
  if (runtime != nullptr && out != nullptr && flags == 0) {
    const CUresult result = answer([&] {
      const auto reserved = runtime->virtual_memory().reserve({size}, {alignment}, {hint});
      if (reserved.ok()) *out = reserved->value;
      return reserved.status();
    });
    if (result == CUDA_SUCCESS) return result;
  }
  return scope.call(&Functions::cuMemAddressReserve, out, size, alignment, hint, flags);
}

CUresult CUDAAPI cuMemAddressFree(CUdeviceptr address, std::size_t size) {
  const HookScope scope;
  VirtualMemory* const memory = in_window(scope, address, size);
  if (memory == nullptr) return scope.call(&Functions::cuMemAddressFree, address, size);
  return answer([&] { return memory->free({{address}, {size}}); });
}

CUresult CUDAAPI cuMemGetAllocationGranularity(std::size_t* out,
                                               const CUmemAllocationProp* properties,
                                               CUmemAllocationGranularity_flags option) {
  const HookScope scope;
  const CUresult result =
      scope.call(&Functions::cuMemGetAllocationGranularity, out, properties, option);
  if (result != CUDA_SUCCESS) return result;
  Runtime* const runtime = scope.start();
  if (runtime == nullptr || properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
      !Session::get().pages(properties->location.id)) {
    return result;
  }
  *out = std::max<std::size_t>(*out, runtime->virtual_memory().granularity().value);
  return result;
}

CUresult CUDAAPI cuMemCreate(CUmemGenericAllocationHandle* out, std::size_t size,
                             const CUmemAllocationProp* properties, unsigned long long flags) {
  const HookScope scope;
  Runtime* const runtime = scope.start();
  if (runtime == nullptr || out == nullptr || properties == nullptr || flags != 0 ||
      !runtime->virtual_memory().backs({size}, *properties)) {
    const CUresult result = scope.call(&Functions::cuMemCreate, out, size, properties, flags);
    if (runtime != nullptr && result == CUDA_SUCCESS) runtime->passed_through();
    return result;
  }
  return answer([&] {
    const auto made = runtime->virtual_memory().create({size}, *properties);
    if (made.ok()) *out = *made;
    return made.status();
  });
}

CUresult CUDAAPI cuMemRelease(CUmemGenericAllocationHandle handle) {
  const HookScope scope;
  VirtualMemory* const memory = ours(scope);
  if (memory == nullptr || !VirtualMemory::is_handle(handle)) {
    return scope.call(&Functions::cuMemRelease, handle);
  }
  return answer([&] { return memory->release(handle); });
}

CUresult CUDAAPI cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* out,
                                                        CUmemGenericAllocationHandle handle) {
  const HookScope scope;
  VirtualMemory* const memory = ours(scope);
  if (memory == nullptr || !VirtualMemory::is_handle(handle)) {
    return scope.call(&Functions::cuMemGetAllocationPropertiesFromHandle, out, handle);
  }
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return answer([&] {
    const auto properties = memory->properties(handle);
    if (properties.ok()) *out = *properties;
    return properties.status();
  });
}

CUresult CUDAAPI cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset,
                          CUmemGenericAllocationHandle handle, unsigned long long flags) {
  const HookScope scope;
  VirtualMemory* const memory =
      VirtualMemory::is_handle(handle) ? ours(scope) : in_window(scope, address, size);
  if (memory == nullptr) {
    return scope.call(&Functions::cuMemMap, address, size, offset, handle, flags);
  }
  return answer([&] { return memory->map({{address}, {size}}, {offset}, handle, flags); });
}

CUresult CUDAAPI cuMemUnmap(CUdeviceptr address, std::size_t size) {
  const HookScope scope;
  VirtualMemory* const memory = concerned(scope, address, size);
  if (memory == nullptr) return scope.call(&Functions::cuMemUnmap, address, size);
  return answer([&] { return memory->unmap({{address}, {size}}); });
}

CUresult CUDAAPI cuMemSetAccess(CUdeviceptr address, std::size_t size,
                                const CUmemAccessDesc* accesses, std::size_t count) {
  const HookScope scope;
  VirtualMemory* const memory = in_window(scope, address, size);
  if (memory == nullptr) {
    return scope.call(&Functions::cuMemSetAccess, address, size, accesses, count);
  }
  if (accesses == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
  return answer([&] { return memory->set_access({{address}, {size}}, {accesses, count}); });
}

CUresult CUDAAPI cuMemGetAccess(unsigned long long* out, const CUmemLocation* location,
                                CUdeviceptr address) {
  const HookScope scope;
  VirtualMemory* const memory = in_window(scope, address, 1);
  if (memory == nullptr) return scope.call(&Functions::cuMemGetAccess, out, location, address);
  return answer([&] { return memory->access({address}, location, out); });
}

CUresult CUDAAPI cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* address) {
  const HookScope scope;
  const auto at = reinterpret_cast<CUdeviceptr>(address);
  VirtualMemory* const memory = concerned(scope, at, 1);
  if (memory == nullptr) return scope.call(&Functions::cuMemRetainAllocationHandle, out, address);
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return answer([&] {
    const auto retained = memory->retain({at});
    if (retained.ok()) *out = *retained;
    return retained.status();
  });
}

CUresult CUDAAPI cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                              CUmemAllocationHandleType type,
                                              unsigned long long flags) {
  const HookScope scope;
  return with_real(scope, handle, [&](CUmemGenericAllocationHandle real) {
    return scope.call(&Functions::cuMemExportToShareableHandle, out, real, type, flags);
  });
}

CUresult CUDAAPI cuMulticastBindMem(CUmemGenericAllocationHandle multicast, std::size_t offset,
                                    CUmemGenericAllocationHandle handle, std::size_t memory_offset,
                                    std::size_t size, unsigned long long flags) {
  const HookScope scope;
  return with_real(scope, handle, [&](CUmemGenericAllocationHandle real) {
    return scope.call(&Functions::cuMulticastBindMem, multicast, offset, real, memory_offset, size,
                      flags);
  });
}

CUresult CUDAAPI cuMulticastBindAddr(CUmemGenericAllocationHandle multicast, std::size_t offset,
                                     CUdeviceptr address, std::size_t size,
                                     unsigned long long flags) {
  const HookScope scope;
  if (VirtualMemory* const memory = concerned(scope, address, size); memory != nullptr) {
    const CUresult fixed = answer([&] { return memory->fix({{address}, {size}}); });
    if (fixed != CUDA_SUCCESS) return fixed;
  }
  return scope.call(&Functions::cuMulticastBindAddr, multicast, offset, address, size, flags);
}

}  // extern "C"
