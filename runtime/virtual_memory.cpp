// The window is one reservation of the driver's, so what lies within one of the application's in it
// is checked here; whether something is mapped already, the driver knows as well.
#include "runtime/virtual_memory.h"

#include <algorithm>
#include <bit>

#include "runtime/context_scope.h"
#include "runtime/kv_heat.h"

namespace vhbm {
namespace {

Status not_held() {
  return {Errc::invalid_value, "not a handle that the application holds"};
}

Status not_whole() {
  return {Errc::invalid_value, "not a range of whole mappings"};
}

Status not_mapped() {
  return {Errc::invalid_value, "nothing is mapped there"};
}

bool has_attribute(const Device& device, CUdevice_attribute attribute) {
  int has = 0;
  return device.driver.cuDeviceGetAttribute(&has, attribute, device.ordinal) == CUDA_SUCCESS &&
         has != 0;
}

Status answer(CUresult result, const char* call) {
  return result == CUDA_SUCCESS ? Status() : Status::driver(result, call);
}

// `list` as it is after some of it was set anew.
AccessList with(AccessList list, std::span<const CUmemAccessDesc> set) {
  for (const CUmemAccessDesc& one : set) {
    std::erase_if(list, [&](const auto& old) { return old.location.id == one.location.id; });
    if (one.flags != CU_MEM_ACCESS_FLAGS_PROT_NONE) list.push_back(one);
  }
  return list;
}

}  // namespace

VirtualMemory::VirtualMemory(Device& device, Allocator& allocator, Gathering& gathering)
    : device_(device),
      allocator_(allocator),
      fixing_(device, allocator, gathering),
      exports_(
          has_attribute(device, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED)),
      reaches_rdma_(
          has_attribute(device, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED)) {}

Result<DeviceAddress> VirtualMemory::reserve(Bytes size, Bytes alignment, DeviceAddress hint) {
  const Bytes unit = granularity();
  if (size.value == 0 || size.value % unit.value != 0 ||
      (alignment.value != 0 && !std::has_single_bit(alignment.value))) {
    return Status(Errc::unsupported, "the driver knows what to say of that");
  }
  alignment = std::max(alignment, unit);
  std::lock_guard lock(device_.lock);
  AddressRange range{hint, size};
  if (hint.value % alignment.value != 0 || !device_.space.carve_at(hint, size)) {
    const auto carved = device_.space.carve(size, alignment);
    if (!carved) return Status(Errc::out_of_memory, "the window has no free range of that size");
    range.base = *carved;
  }
  device_.reservations.add(range);
  return range.base;
}

Status VirtualMemory::free(AddressRange range) {
  if (!reaches_window(range)) {
    return answer(device_.driver.cuMemAddressFree(range.base.value, range.size.value),
                  "cuMemAddressFree");
  }
  std::lock_guard lock(device_.lock);
  if (device_.mappings.any_in(range) || !device_.reservations.remove(range)) {
    return {Errc::invalid_value, "not a whole reservation without mappings"};
  }
  device_.space.give_back(range.base, range.size);
  return {};
}

bool VirtualMemory::backs(Bytes size, const CUmemAllocationProp& properties) const {
  const auto& flags = properties.allocFlags;
  const bool exportable =
      properties.requestedHandleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR && exports_;
  return size.value != 0 && size.value % granularity().value == 0 &&
         properties.type == CU_MEM_ALLOCATION_TYPE_PINNED &&
         properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
         properties.location.id == device_.ordinal &&
         (exportable || properties.requestedHandleTypes == CU_MEM_HANDLE_TYPE_NONE) &&
         properties.win32HandleMetaData == nullptr && flags.compressionType == 0 &&
         flags.usage == 0 && (flags.gpuDirectRDMACapable == 0 || reaches_rdma_);
}

Result<VirtualMemory::Handle> VirtualMemory::create(Bytes size,
                                                    const CUmemAllocationProp& properties) {
  const RelaxedCapture relaxed(device_.driver);
  auto memory = std::make_unique<Memory>();
  auto frames = allocator_.back(size.value / granularity().value);
  if (!frames.ok()) return frames.status();
  memory->properties = properties;
  memory->size = size;
  memory->frames = std::move(*frames);
  std::lock_guard lock(device_.lock);
  return Memories::handle_of(device_.memories->add(std::move(memory)).id);
}

Status VirtualMemory::release(Handle handle) {
  std::lock_guard calls(calls_);
  std::lock_guard lock(device_.lock);
  Memory* memory = device_.memories->find(handle);
  if (memory == nullptr) return not_held();
  if (--memory->handles != 0) return {};
  if (memory->fixed) {
    if (const CUresult result = device_.driver.cuMemRelease(memory->real); result != CUDA_SUCCESS) {
      memory->handles = 1;
      return Status::driver(result, "cuMemRelease");
    }
    memory->real = 0;
  }
  end_if_unused(*memory);
  return {};
}

Result<CUmemAllocationProp> VirtualMemory::properties(Handle handle) const {
  std::lock_guard lock(device_.lock);
  const Memory* memory = device_.memories->find(handle);
  if (memory == nullptr) return not_held();
  return memory->properties;
}

bool VirtualMemory::in_window(DeviceAddress address) const {
  return address >= device_.space.begin() && address - device_.space.begin() < device_.space.size();
}

bool VirtualMemory::reaches_window(AddressRange range) const {
  const DeviceAddress begin = device_.space.begin();
  return in_window(range.base) || (range.base < begin && range.size > begin - range.base);
}

bool VirtualMemory::concerns(AddressRange range) const {
  if (reaches_window(range)) return true;
  std::lock_guard lock(device_.lock);
  return device_.mappings.any_in(range);
}

Status VirtualMemory::map(AddressRange range, Bytes offset, Handle handle,
                          unsigned long long flags) {
  const Status invalid(Errc::invalid_value, "no such mapping can be");
  const RelaxedCapture relaxed(device_.driver);
  std::lock_guard calls(calls_);
  for (;;) {
    {
      std::lock_guard lock(device_.lock);
      if (in_window(range.base)) {
        const auto reservation = device_.reservations.find(range.base);
        if (!reservation || !reservation->contains(range)) return invalid;
      }
      if (range.size.value == 0 || device_.mappings.any_in(range)) return invalid;
      Memory* memory = device_.memories->find(handle);
      if (memory == nullptr && is_handle(handle)) return not_held();
      if (memory == nullptr || memory->fixed) {
        return map_real(range, offset, handle, memory, flags);
      }
      if (offset.value != 0 || flags != 0 || range.size > memory->size ||
          range.base.value % base_page.value != 0 || range.size.value % base_page.value != 0) {
        return invalid;
      }
      if (may_be_region(*memory, range)) return map_region(*memory, range);
    }
    if (const auto fixed = make_real(handle); !fixed.ok()) return fixed.status();
  }
}

bool VirtualMemory::may_be_region(const Memory& memory, AddressRange range) const {
  return memory.region == nullptr && range.size == memory.size && in_window(range.base) &&
         (range.base - device_.space.begin()).value % granularity().value == 0;
}

Status VirtualMemory::map_region(Memory& memory, AddressRange range) {
  auto region = std::make_unique<Region>();
  const auto reservation = device_.reservations.find(range.base);
  region->chunk_size = granularity();
  region->memory = &memory;
  region->access.emplace();
  const MemoryView view{memory.id, *reservation, memory.properties.requestedHandleTypes,
                        CU_MEM_ACCESS_FLAGS_PROT_NONE};
  region->view = {{},      range.base,         range.size, device_.ordinal,
                  nullptr, RegionKind::mapped, nullptr,    view};
  allocator_.apply_rules(*region);
  std::vector<Handle> handles;
  for (const Frame* frame : memory.frames) handles.push_back(frame->handle);
  region->copies.resize(memory.frames.size());
  region->frames = memory.frames;
  device_.mappings.add({range, &memory});
  Status status = device_.mapper->map(range.base, handles, granularity(), region->access);
  Region* added = status.ok() ? device_.regions.add(region) : nullptr;
  if (added == nullptr) {
    if (status.ok()) {
      status = device_.mapper->unmap(range.base, range.size);
      if (status.ok()) status = Status(Errc::out_of_memory, "as many regions as there can be");
    }
    device_.mappings.remove(range.base);
    return status;
  }
  memory.frames.clear();
  memory.region = added;
  allocator_.give_pages(*added);
  allocator_.publish(*added);
  return {};
}

Status VirtualMemory::map_real(AddressRange range, Bytes offset, Handle handle, Memory* memory,
                               unsigned long long flags) {
  device_.mappings.add({range, memory});
  const CUresult result = device_.driver.cuMemMap(range.base.value, range.size.value, offset.value,
                                                  memory == nullptr ? handle : memory->real, flags);
  if (result != CUDA_SUCCESS) {
    device_.mappings.remove(range.base);
  } else if (memory != nullptr) {
    ++memory->mappings;
  }
  return answer(result, "cuMemMap");
}

std::optional<std::vector<Mapping>> VirtualMemory::mappings_of(AddressRange range) const {
  if (reaches_window(range)) return device_.mappings.whole(range);
  return device_.mappings.within(range);
}

Status VirtualMemory::unmap(AddressRange range) {
  if (device_.kv != nullptr) device_.kv->memory_goes(range.base, range.size);
  std::lock_guard calls(calls_);
  const RelaxedCapture relaxed(device_.driver);
  std::lock_guard lock(device_.lock);
  const auto mappings = mappings_of(range);
  if (!mappings) return not_whole();
  const CUresult result = device_.driver.cuMemUnmap(range.base.value, range.size.value);
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemUnmap");
  for (const Mapping& mapping : *mappings) forget_mapping(mapping);
  return {};
}

void VirtualMemory::forget_mapping(const Mapping& mapping) {
  device_.mappings.remove(mapping.range.base);
  Memory* memory = mapping.memory;
  if (memory == nullptr) return;
  if (memory->fixed) {
    --memory->mappings;
  } else {
    device_.regions.withdraw(*memory->region);
    memory->frames = allocator_.retract(*memory->region);
    memory->region = nullptr;
  }
  end_if_unused(*memory);
}

Status VirtualMemory::set_access(AddressRange range, std::span<const CUmemAccessDesc> list) {
  std::lock_guard calls(calls_);
  const RelaxedCapture relaxed(device_.driver);
  std::lock_guard lock(device_.lock);
  const auto mappings = mappings_of(range);
  if (!mappings) return not_whole();
  const bool for_host = std::any_of(list.begin(), list.end(), [](const CUmemAccessDesc& one) {
    return one.location.type != CU_MEM_LOCATION_TYPE_DEVICE;
  });
  for (const Mapping& mapping : *mappings) {
    // The driver would allow it where the frames happen to be the host's.
    if (for_host && mapping.region() != nullptr) {
      return {Errc::invalid_value, "device memory is not for the host"};
    }
  }
  const CUresult result =
      device_.driver.cuMemSetAccess(range.base.value, range.size.value, list.data(), list.size());
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemSetAccess");
  for (const Mapping& mapping : *mappings) {
    Region* region = mapping.region();
    if (region != nullptr) device_.regions.set_access(*region, with(*region->access, list));
  }
  return {};
}

Status VirtualMemory::access(DeviceAddress inside, const CUmemLocation* location,
                             unsigned long long* flags) const {
  std::lock_guard lock(device_.lock);
  if (in_window(inside) && !device_.mappings.find(inside)) return not_mapped();
  if (device_.driver.cuMemGetAccess == nullptr) {
    return Status::driver(CUDA_ERROR_NOT_SUPPORTED, "cuMemGetAccess");
  }
  return answer(device_.driver.cuMemGetAccess(flags, location, inside.value), "cuMemGetAccess");
}

Result<VirtualMemory::Handle> VirtualMemory::retain(DeviceAddress inside) {
  std::lock_guard calls(calls_);
  std::lock_guard lock(device_.lock);
  const auto mapping = device_.mappings.find(inside);
  if (!mapping) return not_mapped();
  Memory* memory = mapping->memory;
  if (memory == nullptr || (memory->fixed && memory->handles == 0)) {
    if (device_.driver.cuMemRetainAllocationHandle == nullptr) {
      return Status::driver(CUDA_ERROR_NOT_SUPPORTED, "cuMemRetainAllocationHandle");
    }
    Handle retained = 0;
    const CUresult result = device_.driver.cuMemRetainAllocationHandle(
        &retained, reinterpret_cast<void*>(inside.value));
    if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemRetainAllocationHandle");
    if (memory == nullptr) return retained;
    memory->real = retained;
  }
  if (memory->region != nullptr) memory->region->held = true;
  ++memory->handles;
  return Memories::handle_of(memory->id);
}

Result<VirtualMemory::Handle> VirtualMemory::real(Handle handle) {
  std::lock_guard calls(calls_);
  return make_real(handle);
}

Result<VirtualMemory::Handle> VirtualMemory::make_real(Handle handle) {
  if (!is_handle(handle)) return handle;
  Memory* memory = nullptr;
  {
    std::lock_guard lock(device_.lock);
    memory = device_.memories->find(handle);
    if (memory == nullptr) return not_held();
    if (memory->fixed) return memory->real;
  }
  if (Status status = fixing_.fix(*memory); !status.ok()) return status;
  return memory->real;
}

Status VirtualMemory::fix(AddressRange range) {
  std::lock_guard calls(calls_);
  const DeviceAddress end = range.base + range.size;
  for (DeviceAddress next = range.base; next < end;) {
    std::optional<Mapping> mapping;
    {
      std::lock_guard lock(device_.lock);
      mapping = device_.mappings.find(next);
    }
    if (!mapping) return not_mapped();
    next = mapping->range.base + mapping->range.size;
    if (mapping->region() == nullptr) continue;
    Memory& memory = *mapping->memory;
    if (Status status = fixing_.fix(memory); !status.ok()) return status;
    if (memory.handles == 0) {
      // The mapping keeps it.
      if (device_.driver.cuMemRelease(memory.real) == CUDA_SUCCESS) memory.real = 0;
    }
  }
  return {};
}

void VirtualMemory::end_if_unused(Memory& memory) {
  if (!memory.unused()) return;
  if (memory.fixed) {
    fixing_.forget(memory);
  } else {
    device_.give_back(memory.frames);
  }
  device_.memories->erase(memory);
}

}  // namespace vhbm
