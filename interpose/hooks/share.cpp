// What makes a region's memory known outside the process: to another process, to another device, to
// a multicast object. The region is gathered first, so that what they hold on to never changes.
// Handles and pointers that are not ours go to the driver.
#include <new>

#include "interpose/cuda_result.h"
#include "interpose/hook_scope.h"
#include "runtime/shared_handle.h"
#include "runtime/virtual_memory.h"

namespace vhbm::interpose {
namespace {

// What a driver answers that cannot do it: to `status` it has no word of its own.
CUresult refused(const Status& status, CUresult otherwise) {
  switch (status.code()) {
    case Errc::ok:
    case Errc::out_of_memory:
    case Errc::driver_error:
      return to_cuda(status);
    default:
      return otherwise;
  }
}

// What the application mapped itself becomes one allocation as well.
Status fix(VirtualMemory& memory, AddressRange range) noexcept {
  try {
    return memory.fix(range);
  } catch (const std::bad_alloc&) {
    return {Errc::out_of_memory, "no memory to gather it with"};
  }
}

// The driver's answer, or that of a driver which cannot do it for this range. Some of it may lie
// in the window, and all that does is one region's before the driver is asked.
template <typename... P>
CUresult once_gathered(CUresult otherwise, CUdeviceptr address, std::size_t size,
                       CUresult (CUDAAPI* Functions::*function)(P...),
                       std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || !runtime->overlaps({address}, {size})) {
    return scope.call(function, arguments...);
  }
  const auto region = runtime->find({address});
  if (!region || region->kind == RegionKind::mapped) {
    VirtualMemory* const memory = runtime->virtual_memory_at({{address}, {size}});
    if (memory == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const Status status = fix(*memory, {{address}, {size}}); !status.ok()) {
      return refused(status, otherwise);
    }
    return scope.call(function, arguments...);
  }
  // Programs round a range up to the pages that it lies in.
  const Bytes mapped = region->size.rounded_up_to(mib(2));
  const Bytes offset = DeviceAddress{address} - region->base;
  if (Bytes{size} > mapped - offset) return CUDA_ERROR_INVALID_VALUE;
  if (const Status status = runtime->gather({address}); !status.ok()) {
    return refused(status, otherwise);
  }
  return scope.call(function, arguments...);
}

CUresult open_handle(CUresult (CUDAAPI* Functions::*function)(CUdeviceptr*, CUipcMemHandle,
                                                              unsigned),
                     CUdeviceptr* out, const CUipcMemHandle& handle, unsigned flags) {
  const HookScope scope;
  SharedHandle shared;
  const bool ours = SharedHandle::read(handle, &shared);
  Runtime* const runtime = ours ? scope.start_here() : nullptr;
  if (runtime == nullptr) return scope.call(function, out, handle, flags);
  if (out == nullptr || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (const CUresult no = scope.refused(); no != CUDA_SUCCESS) return no;
  const auto opened = runtime->open_shared(shared);
  if (!opened.ok()) return refused(opened.status(), CUDA_ERROR_INVALID_VALUE);
  *out = opened->value;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm;
using namespace vhbm::interpose;

extern "C" {

// As the driver, of any address inside an allocation: the handle is the allocation's, and its first
// byte is what the other process gets (openucx/ucx issue 11724 has a test of it).
CUresult CUDAAPI cuIpcGetMemHandle(CUipcMemHandle* out, CUdeviceptr address) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || out == nullptr || !runtime->owns({address})) {
    return scope.call(&Functions::cuIpcGetMemHandle, out, address);
  }
  if (const CUresult no = scope.refused(); no != CUDA_SUCCESS) return no;
  const auto shared = runtime->share({address});
  if (!shared.ok()) return refused(shared.status(), CUDA_ERROR_INVALID_VALUE);
  *out = shared->written();
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuIpcOpenMemHandle(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  return open_handle(&Functions::cuIpcOpenMemHandle, out, handle, flags);
}

CUresult CUDAAPI cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  return open_handle(&Functions::cuIpcOpenMemHandle_v2, out, handle, flags);
}

CUresult CUDAAPI cuIpcCloseMemHandle(CUdeviceptr address) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || !runtime->maps_shared({address})) {
    return scope.call(&Functions::cuIpcCloseMemHandle, address);
  }
  if (const CUresult no = scope.refused(); no != CUDA_SUCCESS) return no;
  const Status status = runtime->close_shared({address});
  return status.code() == Errc::abandoned ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
                                          : refused(status, CUDA_ERROR_INVALID_VALUE);
}

CUresult CUDAAPI cuMemGetHandleForAddressRange(void* out, CUdeviceptr address, std::size_t size,
                                               CUmemRangeHandleType type,
                                               unsigned long long flags) {
  return once_gathered(CUDA_ERROR_NOT_SUPPORTED, address, size,
                       &Functions::cuMemGetHandleForAddressRange, out, address, size, type, flags);
}

CUresult CUDAAPI cuMulticastBindAddr(CUmemGenericAllocationHandle multicast, std::size_t offset,
                                     CUdeviceptr address, std::size_t size,
                                     unsigned long long flags) {
  return once_gathered(CUDA_ERROR_NOT_SUPPORTED, address, size, &Functions::cuMulticastBindAddr,
                       multicast, offset, address, size, flags);
}

// The driver refuses it for mapped memory, and programs that register memory with a network card
// set it before they do.
CUresult CUDAAPI cuPointerSetAttribute(const void* value, CUpointer_attribute attribute,
                                       CUdeviceptr address) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || value == nullptr || !runtime->owns({address})) {
    return scope.call(&Functions::cuPointerSetAttribute, value, attribute, address);
  }
  if (attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult no = scope.refused(); no != CUDA_SUCCESS) return no;
  const bool synchronous = *static_cast<const unsigned*>(value) != 0;
  return refused(runtime->set_synchronous({address}, synchronous), CUDA_ERROR_NOT_SUPPORTED);
}

}  // extern "C"
