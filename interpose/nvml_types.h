// The few types of NVIDIA's management library that its hooks read and write. nvml.h comes with a
// driver's development files, which need not be where vHBM is built, so they are declared here:
// layouts and numbers are those of nvml.h as its releases of R510 to R580 have them. A test
// compares them with nvml.h where it is found.
#pragma once

#include <cstdint>

namespace vhbm::interpose {

// nvmlReturn_t: any number, of which only these are made here.
enum class NvmlResult : int {
  success = 0,
  library_not_found = 12,
  function_not_found = 13,
};

using NvmlDevice = struct nvmlDevice_st*;

struct NvmlMemory {  // nvmlMemory_t
  std::uint64_t total, free, used;
};

struct NvmlMemoryV2 {  // nvmlMemory_v2_t
  std::uint32_t version;
  std::uint64_t total, reserved, free, used;
};
inline constexpr std::uint32_t nvml_memory_v2 = sizeof(NvmlMemoryV2) | 2u << 24;

struct NvmlProcessV1 {  // nvmlProcessInfo_v1_t
  std::uint32_t pid;
  std::uint64_t used_gpu_memory;
};

struct NvmlProcessV2 {  // nvmlProcessInfo_v2_t
  std::uint32_t pid;
  std::uint64_t used_gpu_memory;
  std::uint32_t gpu_instance, compute_instance;
};
inline constexpr std::uint64_t nvml_not_available = ~std::uint64_t{0};

inline constexpr unsigned nvml_text_size = 96;  // of names and UUIDs, the largest of nvml.h

}  // namespace vhbm::interpose
