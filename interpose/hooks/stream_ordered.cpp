// Memory in the order of a stream. What is large and from the default pool of the device that is
// paged becomes a region; all else is the driver's: small allocations, pools of the program's own,
// and whatever has to do with a capture, where an allocation is a node of the graph.
#include <optional>

#include "interpose/cuda_result.h"
#include "interpose/submit.h"
#include "runtime/context_scope.h"

namespace vhbm::interpose {
namespace {

// What no memory has for an address: the driver answers as for any that it did not give out.
constexpr CUdeviceptr nobodys = 1;

CUstream plain_handle(CUstream stream, DefaultStream null_means) {
  return is_per_thread(stream, null_means) ? CU_STREAM_PER_THREAD : stream;
}

// Nothing may be recorded on it now: it is being captured, or it is the legacy stream and would
// have to wait for one that is, which the driver says and which breaks no capture
// (cuda.h: cuStreamIsCapturing).
bool is_in_a_capture(const Linkage& linkage, CUstream stream) {
  if (!Session::get().captures.any()) return false;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const auto ask = linkage.ask.cuStreamIsCapturing;
  return ask == nullptr || ask(stream, &status) != CUDA_SUCCESS ||
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

// nullopt where the driver does not know the stream, and will say so. Not for one that is being
// captured, which has no id to tell.
std::optional<StreamOrder> order_of(const Linkage& linkage, CUstream stream) {
  StreamOrder order{nullptr, stream, 0};
  unsigned long long id = 0;
  const Queries& ask = linkage.ask;
  if (ask.cuStreamGetId != nullptr && ask.cuStreamGetId(stream, &id) != CUDA_SUCCESS) {
    return std::nullopt;
  }
  // Whether each thread's own stream has another id is not documented.
  order.id = stream == CU_STREAM_PER_THREAD ? 0 : id;
  if (ask.cuStreamGetCtx == nullptr || ask.cuStreamGetCtx(stream, &order.context) != CUDA_SUCCESS ||
      order.context == nullptr) {
    (void)ask.cuCtxGetCurrent(&order.context);
  }
  if (order.context == nullptr) return std::nullopt;
  return order;
}

// The device of a context, if its memory is paged.
std::optional<CUdevice> paged_device_of(const HookScope& scope, CUcontext context) {
  const auto device_here = [&]() -> std::optional<CUdevice> {
    const Runtime* const runtime = scope.start_here();
    return runtime == nullptr ? std::nullopt : std::optional(runtime->current_device());
  };
  CUcontext current = nullptr;
  (void)scope.linkage().ask.cuCtxGetCurrent(&current);
  if (current == context) return device_here();
  const ContextScope there(scope.linkage().driver, context);
  return there.result() == CUDA_SUCCESS ? device_here() : std::nullopt;
}

CUmemoryPool default_pool_of(const Linkage& linkage, CUdevice device) {
  CUmemoryPool pool = nullptr;
  const auto ask = linkage.ask.cuDeviceGetDefaultMemPool;
  return ask != nullptr && ask(&pool, device) == CUDA_SUCCESS ? pool : nullptr;
}

CUmemoryPool current_pool_of(const Linkage& linkage, CUdevice device) {
  CUmemoryPool pool = nullptr;
  const auto ask = linkage.ask.cuDeviceGetMemPool;
  return ask != nullptr && ask(&pool, device) == CUDA_SUCCESS ? pool : nullptr;
}

// From `pool`, or from the current one of the stream's device. nullopt: the driver is to be asked.
std::optional<CUresult> allocated(const HookScope& scope, CUdeviceptr* out, std::size_t size,
                                  const CUmemoryPool* pool, CUstream stream) {
  Runtime* const runtime = scope.start();
  if (runtime == nullptr || out == nullptr) return std::nullopt;
  const Linkage& linkage = scope.linkage();
  if (is_in_a_capture(linkage, stream)) return std::nullopt;
  const auto order = order_of(linkage, stream);
  if (!order) return std::nullopt;
  const auto device = paged_device_of(scope, order->context);
  if (!device) return std::nullopt;
  const CUmemoryPool from = default_pool_of(linkage, *device);
  if (from == nullptr || from != (pool != nullptr ? *pool : current_pool_of(linkage, *device)) ||
      Session::get().peers_use_default_pool()) {
    return std::nullopt;
  }
  const auto region = runtime->allocate_in_order(*device, {size}, *order, from);
  if (region.ok()) {
    *out = region->value;
    return CUDA_SUCCESS;
  }
  const Errc why = region.status().code();
  if (why == Errc::too_small || why == Errc::invalid_value || why == Errc::frozen) {
    return std::nullopt;
  }
  return to_cuda(region.status());
}

CUresult allocate(CUresult (CUDAAPI* Functions::*function)(CUdeviceptr*, std::size_t, CUstream),
                  DefaultStream null_means, CUdeviceptr* out, std::size_t size, CUstream stream) {
  const HookScope scope;
  if (const auto result = allocated(scope, out, size, nullptr, plain_handle(stream, null_means))) {
    return *result;
  }
  const CUresult result = scope.call(function, out, size, stream);
  if (scope.runtime() != nullptr && result == CUDA_SUCCESS) scope.runtime()->passed_through();
  return result;
}

CUresult allocate(CUresult (CUDAAPI* Functions::*function)(CUdeviceptr*, std::size_t, CUmemoryPool,
                                                           CUstream),
                  DefaultStream null_means, CUdeviceptr* out, std::size_t size, CUmemoryPool pool,
                  CUstream stream) {
  const HookScope scope;
  if (const auto result = allocated(scope, out, size, &pool, plain_handle(stream, null_means))) {
    return *result;
  }
  const CUresult result = scope.call(function, out, size, pool, stream);
  if (scope.runtime() != nullptr && result == CUDA_SUCCESS) scope.runtime()->passed_through();
  return result;
}

CUresult free(CUresult (CUDAAPI* Functions::*function)(CUdeviceptr, CUstream),
              DefaultStream null_means, CUdeviceptr address, CUstream stream) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr || !runtime->owns({address})) {
    if (scope.outermost()) Session::native_goes(address);
    const CUresult result = scope.call(function, address, stream);
    if (result == CUDA_SUCCESS && scope.outermost()) {
      Session::get().native_freed(NativeKind::device, address);
    }
    return result;
  }
  const CUstream plain = plain_handle(stream, null_means);
  // A capture frees what one of its own nodes allocated, which no region is.
  if (is_in_a_capture(scope.linkage(), plain)) return scope.call(function, nobodys, stream);
  const auto order = order_of(scope.linkage(), plain);
  if (!order) return scope.call(function, nobodys, stream);
  note_stream(*runtime, stream, null_means);
  return to_cuda(runtime->free_in_order({address}, *order));
}

// The device, if it is paged, whose default pool this is.
std::optional<CUdevice> owner_of_default_pool(const HookScope& scope, CUmemoryPool pool) {
  const Runtime* const runtime = scope.runtime();
  int count = 0;
  if (runtime == nullptr || pool == nullptr || scope.linkage().ask.cuDeviceGetCount == nullptr ||
      scope.linkage().ask.cuDeviceGetCount(&count) != CUDA_SUCCESS) {
    return std::nullopt;
  }
  for (CUdevice device = 0; device < count; ++device) {
    if (runtime->pages(device) && pool == default_pool_of(scope.linkage(), device)) return device;
  }
  return std::nullopt;
}

// Regions count as the pool's, so that a framework that reads them finds its own memory there. A
// high mark is then the sum of two, which may lie above the sum's own.
Bytes of_regions(const PoolUse& use, CUmemPool_attribute attribute) {
  switch (attribute) {
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      return use.used;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      return use.used_high;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      return use.reserved;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      return use.reserved_high;
    default:
      return {};
  }
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm;
using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr* out, std::size_t size, CUstream stream) {
  return allocate(&Functions::cuMemAllocAsync, DefaultStream::legacy, out, size, stream);
}
CUresult CUDAAPI cuMemAllocAsync_ptsz(CUdeviceptr* out, std::size_t size, CUstream stream) {
  return allocate(&Functions::cuMemAllocAsync_ptsz, DefaultStream::per_thread, out, size, stream);
}

CUresult CUDAAPI cuMemAllocFromPoolAsync(CUdeviceptr* out, std::size_t size, CUmemoryPool pool,
                                         CUstream stream) {
  return allocate(&Functions::cuMemAllocFromPoolAsync, DefaultStream::legacy, out, size, pool,
                  stream);
}
CUresult CUDAAPI cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* out, std::size_t size, CUmemoryPool pool,
                                              CUstream stream) {
  return allocate(&Functions::cuMemAllocFromPoolAsync_ptsz, DefaultStream::per_thread, out, size,
                  pool, stream);
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  return free(&Functions::cuMemFreeAsync, DefaultStream::legacy, address, stream);
}
CUresult CUDAAPI cuMemFreeAsync_ptsz(CUdeviceptr address, CUstream stream) {
  return free(&Functions::cuMemFreeAsync_ptsz, DefaultStream::per_thread, address, stream);
}

CUresult CUDAAPI cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* properties) {
  const HookScope scope;
  Runtime* const runtime = scope.start();
  const CUresult result = scope.call(&Functions::cuMemPoolCreate, out, properties);
  if (runtime != nullptr && result == CUDA_SUCCESS &&
      properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
    runtime->pool_created(properties->location.id, *out);
  }
  return result;
}

CUresult CUDAAPI cuMemPoolDestroy(CUmemoryPool pool) {
  const HookScope scope;
  // Before, since the driver may not be asked of it afterwards. The default pool stays.
  if (scope.runtime() != nullptr && !owner_of_default_pool(scope, pool)) {
    scope.runtime()->pool_destroyed(pool);
  }
  return scope.call(&Functions::cuMemPoolDestroy, pool);
}

CUresult CUDAAPI cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
                                       void* out) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuMemPoolGetAttribute, pool, attribute, out);
  if (result != CUDA_SUCCESS) return result;
  const auto owner = owner_of_default_pool(scope, pool);
  const Bytes more = owner ? of_regions(scope.runtime()->pool_use(*owner), attribute) : Bytes{};
  if (more.value != 0) *static_cast<cuuint64_t*>(out) += more.value;
  return result;
}

CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
                                       void* value) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuMemPoolSetAttribute, pool, attribute, value);
  if (result != CUDA_SUCCESS) return result;
  if (const auto owner = owner_of_default_pool(scope, pool)) {
    scope.runtime()->reset_pool_marks(*owner, attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH,
                                      attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH);
  }
  return result;
}

CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool pool, std::size_t keep) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuMemPoolTrimTo, pool, keep);
  if (result != CUDA_SUCCESS) return result;
  if (const auto owner = owner_of_default_pool(scope, pool)) {
    scope.runtime()->trim_idle(*owner, {keep});
  }
  return result;
}

// Regions have no peers: from here on the pool's memory is the driver's.
CUresult CUDAAPI cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc* accesses,
                                    std::size_t count) {
  const HookScope scope;
  const CUresult result = scope.call(&Functions::cuMemPoolSetAccess, pool, accesses, count);
  if (result != CUDA_SUCCESS) return result;
  const auto owner = owner_of_default_pool(scope, pool);
  for (std::size_t i = 0; owner && i < count; ++i) {
    if (accesses[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
        accesses[i].location.id != *owner) {
      Session::get().let_peers_use_default_pool();
    }
  }
  return result;
}

}  // extern "C"
