// Memory of every kind that a program can have: given out by cuMemAlloc, in the order of a stream,
// or created and mapped by the program itself. Whatever the kind, its work is in order on the
// buffer's stream, so that is what a free or an unmapping has to come after.
#include <algorithm>
#include <atomic>

#include "gpu.h"
#include "harm.h"

namespace stress {
namespace {

// What others may open stays in HBM, so one buffer of the process at a time.
std::atomic<const Buffer*> shared{nullptr};
constexpr std::size_t most_shared = 3 << 20;

CUmemAllocationProp properties_on(CUdevice device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device;
  return properties;
}

}  // namespace

void Gpu::allocate(Buffer& buffer) {
  switch (buffer.kind) {
    case MemoryKind::plain:
      STRESS_CHECK(cuMemAlloc(&buffer.address, buffer.bytes()));
      break;
    case MemoryKind::stream_ordered:
      STRESS_CHECK(cuMemAllocAsync(&buffer.address, buffer.bytes(), streams_[buffer.stream]));
      break;
    case MemoryKind::mapped:
      create(buffer);
      map(buffer);
      break;
  }
  if (auto& stream = still_read_on_[buffer.slot]; stream) {
    wait_for(*stream);
    stream.reset();
  }
  STRESS_CHECK(cuMemcpyHtoD(table_ + buffer.slot * sizeof(CUdeviceptr), &buffer.address,
                            sizeof buffer.address));
  // From pageable memory the call returns before the bytes arrived, and only the null stream and
  // blocking ones would be in order after it.
  wait_for(legacy);
}

void Gpu::free(const Buffer& buffer) {
  forget(buffer);
  switch (buffer.kind) {
    case MemoryKind::plain:
      STRESS_CHECK(cuMemFree(buffer.address));
      return;
    case MemoryKind::stream_ordered:
      STRESS_CHECK(cuMemFreeAsync(buffer.address, streams_[buffer.stream]));
      still_read_on_[buffer.slot] = buffer.stream;
      return;
    case MemoryKind::mapped:
      unmap(buffer);
      for (const Piece& piece : buffer.pieces) STRESS_CHECK(cuMemRelease(piece.handle));
      STRESS_CHECK(cuMemAddressFree(buffer.address, buffer.mapped_bytes()));
      return;
  }
}

void Gpu::forget(const Buffer& buffer) {
  const Buffer* was = &buffer;
  shared.compare_exchange_strong(was, nullptr);
}

void Gpu::create(Buffer& buffer) {
  const CUmemAllocationProp properties = properties_on(device_);
  std::size_t unit = 0;
  STRESS_CHECK(cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  std::size_t left = (buffer.bytes() + unit - 1) / unit;
  while (left != 0) {
    // One, two or three units at a time.
    const std::size_t units = std::min<std::size_t>(left, 1 + buffer.pieces.size() % 3);
    Piece piece{0, units * unit};
    STRESS_CHECK(cuMemCreate(&piece.handle, piece.bytes, &properties, 0));
    buffer.pieces.push_back(piece);
    left -= units;
  }
  STRESS_CHECK(cuMemAddressReserve(&buffer.address, buffer.mapped_bytes(), 0, 0, 0));
}

void Gpu::map(const Buffer& buffer) {
  CUdeviceptr next = buffer.address;
  for (const Piece& piece : buffer.pieces) {
    STRESS_CHECK(cuMemMap(next, piece.bytes, 0, piece.handle, 0));
    next += piece.bytes;
  }
  CUmemAccessDesc access{};
  access.location = properties_on(device_).location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  STRESS_CHECK(cuMemSetAccess(buffer.address, buffer.mapped_bytes(), &access, 1));
}

void Gpu::unmap(const Buffer& buffer) {
  wait_for(buffer.stream);
  STRESS_CHECK(cuMemUnmap(buffer.address, buffer.mapped_bytes()));
}

void Gpu::remap(const Buffer& buffer) {
  if (buffer.kind != MemoryKind::mapped) return;
  unmap(buffer);
  map(buffer);
}

void Gpu::share(const Buffer& buffer) {
  const Buffer* nobody = nullptr;
  if (buffer.kind != MemoryKind::plain || buffer.bytes() > most_shared ||
      !shared.compare_exchange_strong(nobody, &buffer)) {
    return;
  }
  CUipcMemHandle handle;
  const CUresult result = cuIpcGetMemHandle(&handle, buffer.address);
  // There may be no room in HBM for all of it at once.
  if (result != CUDA_ERROR_OUT_OF_MEMORY && result != CUDA_ERROR_INVALID_VALUE) {
    check(result, "cuIpcGetMemHandle");
  }
}

}  // namespace stress
