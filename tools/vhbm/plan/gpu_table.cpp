#include "gpu_table.h"

namespace vhbm::plan {
namespace {

constexpr GpuKnown gpus[] = {
#define GPU(name, device, hbm, bandwidth, link, flops, source) \
  {name, device, hbm, bandwidth, link, flops, source},
#include "gpus.def"
#undef GPU
};

}  // namespace

std::span<const GpuKnown> known_gpus() {
  return gpus;
}

const GpuKnown* gpu_named(std::string_view name) {
  for (const GpuKnown& gpu : gpus) {
    if (name == gpu.name) return &gpu;
  }
  return nullptr;
}

// The longest name wins: "NVIDIA A10" is also in "NVIDIA A100-SXM4-80GB", "NVIDIA L4" in "NVIDIA
// L40S".
const GpuKnown* gpu_of_device(std::string_view device) {
  const GpuKnown* found = nullptr;
  for (const GpuKnown& gpu : gpus) {
    const std::string_view part = gpu.device;
    const std::size_t at = device.find(part);
    if (at == std::string_view::npos) continue;
    const std::size_t end = at + part.size();
    const bool whole_word = end == device.size() || device[end] == ' ' || device[end] == '-';
    if (whole_word && (found == nullptr || part.size() > std::string_view(found->device).size())) {
      found = &gpu;
    }
  }
  return found;
}

}  // namespace vhbm::plan
