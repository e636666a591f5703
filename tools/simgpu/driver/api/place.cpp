#include "api/place.h"

#include "machine.h"

namespace simgpu {

Place place_of(const void* pointer) {
  Machine& m = *machine();
  const void* base = nullptr;
  if (m.space.contains(reinterpret_cast<CUdeviceptr>(pointer))) return Place::device;
  return m.host_memory.find(pointer, &base) != nullptr ? Place::pinned : Place::pageable;
}

bool device_range_is_mapped(const void* pointer, std::size_t length) {
  CUdeviceptr at = reinterpret_cast<CUdeviceptr>(pointer);
  const CUdeviceptr end = at + length;
  AddressSpace::Range range{};
  const Native native = machine()->find_native(at);
  if (native.allocation != nullptr) return end - native.base <= native.allocation->size;
  while (at < end) {
    if (machine()->space.find_mapping(at, &range) == nullptr) return false;
    at = range.begin + range.size;
  }
  return true;
}

bool is_usable_by_device(const void* pointer, std::size_t length) {
  switch (place_of(pointer)) {
    case Place::device:
      return device_range_is_mapped(pointer, length);
    case Place::pinned:
      return true;
    default:
      return false;
  }
}

}  // namespace simgpu
