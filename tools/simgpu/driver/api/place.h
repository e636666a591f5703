// Where the memory behind a pointer is, for the entries that take pointers.
#pragma once

#include <cstddef>

namespace simgpu {

enum class Place { device, pinned, pageable };

// `device` for every address of the address space that device memory has, mapped or not.
Place place_of(const void* pointer);

// Whether every byte of a device range belongs to live mappings, as the driver checks when asked.
bool device_range_is_mapped(const void* pointer, std::size_t length);

// Whether the GPU may be told to use the range: mapped device memory, or page-locked host memory.
bool is_usable_by_device(const void* pointer, std::size_t length);

}  // namespace simgpu
