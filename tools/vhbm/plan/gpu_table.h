// The GPUs of gpus.def.
#pragma once

#include <span>
#include <string_view>

namespace vhbm::plan {

struct GpuKnown {
  const char* name;
  const char* device;
  double hbm_gib;
  double bandwidth_gbps;
  double link_gbps;
  double tflops;
  const char* source;
};

[[nodiscard]] std::span<const GpuKnown> known_gpus();
// nullptr where there is none of that name, or none that the driver would call so.
[[nodiscard]] const GpuKnown* gpu_named(std::string_view name);
[[nodiscard]] const GpuKnown* gpu_of_device(std::string_view device);

}  // namespace vhbm::plan
