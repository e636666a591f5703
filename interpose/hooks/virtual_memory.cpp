// Applications that reserve, create and map device memory themselves (PyTorch's expandable
// segments, vLLM's sleep mode, kvcached, NCCL): what is on the paged device and can be in frames is
// paged. All else is the driver's; memory of ours goes there by its real handle. cuMemAlloc's
// memory has no mapping that a program could see, hold, export or take away.
#include "runtime/virtual_memory.h"

#include <algorithm>
#include <new>
#include <vector>

#include "interpose/cuda_result.h"
#include "interpose/submit.h"

namespace vhbm::interpose {
namespace {

// Of the device that memory is to be located on; nullptr where the driver is to be asked.
VirtualMemory* located(const HookScope& scope, const CUmemAllocationProp* properties) {
  (void)scope.start_here();
  const Runtime* const runtime = scope.runtime();
  // Nothing is looked at before there is a runtime to look.
  if (runtime == nullptr || properties == nullptr ||
      properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return nullptr;
  }
  return runtime->virtual_memory_on(properties->location.id);
}

// Whether the handle is one of ours; `owner` is then who gave it out.
bool is_ours(const HookScope& scope, CUmemGenericAllocationHandle handle, VirtualMemory** owner) {
  const Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || !Memories::is_handle(handle)) return false;
  *owner = runtime->virtual_memory_on(Memories::device_of(handle));
  return *owner != nullptr;
}

template <typename Work>
CUresult answer(Work&& work) noexcept {
  try {
    return to_cuda(work());
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
}

// A call about a range: `work(memory)` where it concerns us, else `native()`.
template <typename Work, typename Native>
CUresult about(const HookScope& scope, CUdeviceptr address, std::size_t size, Work&& work,
               Native&& native) noexcept {
  const Runtime* const runtime = scope.runtime();
  if (runtime == nullptr) return native();
  VirtualMemory* const memory = runtime->virtual_memory_at({{address}, {size}});
  if (memory != nullptr) {
    // These calls need no context, but in a host function they are not permitted.
    if (scope.refused() == CUDA_ERROR_NOT_PERMITTED) return CUDA_ERROR_NOT_PERMITTED;
    return answer([&] { return work(*memory); });
  }
  // The part of a device that is not in use; what another process shares with this one.
  const bool ours = runtime->overlaps({address}, {size}) || runtime->maps_shared({address});
  return ours ? CUDA_ERROR_INVALID_VALUE : native();
}

// A call that hands one handle to the driver, of its own kind: `call(handle)`.
template <typename Call>
CUresult with_real(const HookScope& scope, CUmemGenericAllocationHandle handle, Call&& call) {
  VirtualMemory* owner = nullptr;
  if (!is_ours(scope, handle, &owner)) return call(handle);
  CUmemGenericAllocationHandle real = 0;
  const CUresult result = answer([&] {
    const auto made = owner->real(handle);
    if (made.ok()) real = *made;
    return made.status();
  });
  return result == CUDA_SUCCESS ? call(real) : result;
}

CUresult map_arrays(CUresult (CUDAAPI* Functions::*function)(CUarrayMapInfo*, unsigned, CUstream),
                    DefaultStream null_means, CUarrayMapInfo* mappings, unsigned count,
                    CUstream stream) {
  std::vector<CUarrayMapInfo> real;  // empty: as it was given
  {
    const HookScope scope;
    const bool given = scope.runtime() != nullptr && mappings != nullptr;
    const CUresult result = answer([&]() -> Status {
      for (unsigned i = 0; given && i < count; ++i) {
        VirtualMemory* owner = nullptr;
        if (mappings[i].memHandleType != CU_MEM_HANDLE_TYPE_GENERIC ||
            !is_ours(scope, mappings[i].memHandle.memHandle, &owner)) {
          continue;
        }
        if (real.empty()) real.assign(mappings, mappings + count);
        const auto handle = owner->real(mappings[i].memHandle.memHandle);
        if (!handle.ok()) return handle.status();
        real[i].memHandle.memHandle = *handle;
      }
      return {};
    });
    if (result != CUDA_SUCCESS) return result;
  }
  return submit(
      function, [&](Runtime& runtime) { note_stream(runtime, stream, null_means); },
      real.empty() ? mappings : real.data(), count, stream);
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm;
using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemAddressReserve(CUdeviceptr* out, std::size_t size, std::size_t alignment,
                                     CUdeviceptr hint, unsigned long long flags) {
  const HookScope scope;
  Runtime* const runtime = scope.start_here();
  VirtualMemory* const memory =
      runtime == nullptr ? nullptr : runtime->virtual_memory_on(runtime->current_device());
  if (memory != nullptr && out != nullptr && flags == 0) {
    const CUresult result = answer([&] {
      const auto reserved = memory->reserve({size}, {alignment}, {hint});
      if (reserved.ok()) *out = reserved->value;
      return reserved.status();
    });
    if (result == CUDA_SUCCESS) return result;
  }
  return scope.call(&Functions::cuMemAddressReserve, out, size, alignment, hint, flags);
}

CUresult CUDAAPI cuMemAddressFree(CUdeviceptr address, std::size_t size) {
  const HookScope scope;
  return about(
      scope, address, size,
      [&](VirtualMemory& memory) {
        return memory.free({{address}, {size}});
      },
      [&] { return scope.call(&Functions::cuMemAddressFree, address, size); });
}

CUresult CUDAAPI cuMemGetAllocationGranularity(std::size_t* out,
                                               const CUmemAllocationProp* properties,
                                               CUmemAllocationGranularity_flags option) {
  const HookScope scope;
  const CUresult result =
      scope.call(&Functions::cuMemGetAllocationGranularity, out, properties, option);
  if (result != CUDA_SUCCESS) return result;
  const VirtualMemory* const memory = located(scope, properties);
  if (memory != nullptr) *out = std::max<std::size_t>(*out, memory->granularity().value);
  return result;
}

CUresult CUDAAPI cuMemCreate(CUmemGenericAllocationHandle* out, std::size_t size,
                             const CUmemAllocationProp* properties, unsigned long long flags) {
  const HookScope scope;
  VirtualMemory* const memory = located(scope, properties);
  if (memory == nullptr || out == nullptr || flags != 0 || !memory->backs({size}, *properties)) {
    const CUresult result = scope.call(&Functions::cuMemCreate, out, size, properties, flags);
    Runtime* const runtime = scope.runtime();
    if (runtime != nullptr && result == CUDA_SUCCESS) runtime->passed_through();
    return result;
  }
  return answer([&] {
    const auto made = memory->create({size}, *properties);
    if (made.ok()) *out = *made;
    return made.status();
  });
}

CUresult CUDAAPI cuMemRelease(CUmemGenericAllocationHandle handle) {
  const HookScope scope;
  VirtualMemory* owner = nullptr;
  if (!is_ours(scope, handle, &owner)) return scope.call(&Functions::cuMemRelease, handle);
  return answer([&] { return owner->release(handle); });
}

CUresult CUDAAPI cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* out,
                                                        CUmemGenericAllocationHandle handle) {
  const HookScope scope;
  VirtualMemory* owner = nullptr;
  if (!is_ours(scope, handle, &owner)) {
    return scope.call(&Functions::cuMemGetAllocationPropertiesFromHandle, out, handle);
  }
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return answer([&] {
    const auto properties = owner->properties(handle);
    if (properties.ok()) *out = *properties;
    return properties.status();
  });
}

CUresult CUDAAPI cuMemMap(CUdeviceptr address, std::size_t size, std::size_t offset,
                          CUmemGenericAllocationHandle handle, unsigned long long flags) {
  const HookScope scope;
  const AddressRange range{{address}, {size}};
  VirtualMemory* owner = nullptr;
  const bool handle_is_ours = is_ours(scope, handle, &owner);
  return about(
      scope, address, size,
      [&](VirtualMemory& memory) -> Status {
        if (!handle_is_ours || owner == &memory) {
          return memory.map(range, {offset}, handle, flags);
        }
        // One device's memory at an address of another's.
        const auto real = owner->real(handle);
        return real.ok() ? memory.map(range, {offset}, *real, flags) : real.status();
      },
      [&] {
        if (handle_is_ours) {
          return answer([&] { return owner->map(range, {offset}, handle, flags); });
        }
        return scope.call(&Functions::cuMemMap, address, size, offset, handle, flags);
      });
}

CUresult CUDAAPI cuMemUnmap(CUdeviceptr address, std::size_t size) {
  const HookScope scope;
  return about(
      scope, address, size,
      [&](VirtualMemory& memory) {
        return memory.unmap({{address}, {size}});
      },
      [&] {
        if (scope.outermost()) Session::native_goes(address);
        return scope.call(&Functions::cuMemUnmap, address, size);
      });
}

CUresult CUDAAPI cuMemSetAccess(CUdeviceptr address, std::size_t size,
                                const CUmemAccessDesc* accesses, std::size_t count) {
  const HookScope scope;
  const auto native = [&] {
    return scope.call(&Functions::cuMemSetAccess, address, size, accesses, count);
  };
  if (accesses == nullptr || count == 0) return native();
  return about(
      scope, address, size,
      [&](VirtualMemory& memory) {
        return memory.set_access({{address}, {size}}, {accesses, count});
      },
      native);
}

CUresult CUDAAPI cuMemGetAccess(unsigned long long* out, const CUmemLocation* location,
                                CUdeviceptr address) {
  const HookScope scope;
  return about(
      scope, address, 1,
      [&](VirtualMemory& memory) { return memory.access({address}, location, out); },
      [&] { return scope.call(&Functions::cuMemGetAccess, out, location, address); });
}

CUresult CUDAAPI cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* address) {
  const HookScope scope;
  const auto native = [&] {
    return scope.call(&Functions::cuMemRetainAllocationHandle, out, address);
  };
  if (out == nullptr) return native();
  const auto at = reinterpret_cast<CUdeviceptr>(address);
  return about(
      scope, at, 1,
      [&](VirtualMemory& memory) {
        const auto retained = memory.retain({at});
        if (retained.ok()) *out = *retained;
        return retained.status();
      },
      native);
}

CUresult CUDAAPI cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                              CUmemAllocationHandleType type,
                                              unsigned long long flags) {
  const HookScope scope;
  VirtualMemory* owner = nullptr;
  // What would be refused is not worth fixing memory for.
  if (is_ours(scope, handle, &owner)) {
    const auto properties = owner->properties(handle);
    if (!properties.ok() || (properties->requestedHandleTypes & type) == 0 || out == nullptr) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
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

// Sparse arrays: the handles are replaced before the gate is passed, since fixing memory closes it.
CUresult CUDAAPI cuMemMapArrayAsync(CUarrayMapInfo* mappings, unsigned count, CUstream stream) {
  return map_arrays(&Functions::cuMemMapArrayAsync, DefaultStream::legacy, mappings, count, stream);
}

CUresult CUDAAPI cuMemMapArrayAsync_ptsz(CUarrayMapInfo* mappings, unsigned count,
                                         CUstream stream) {
  return map_arrays(&Functions::cuMemMapArrayAsync_ptsz, DefaultStream::per_thread, mappings, count,
                    stream);
}

}  // extern "C"
