// NVML numbers all GPUs of the machine, CUDA those that it sees, in an order of its own: only the
// UUID is the same. Before CUDA is initialised it numbers none, and its environment decides.
#include "interpose/nvml_scope.h"

#include <cstdlib>
#include <cstring>

#include "interpose/visible_devices.h"

namespace vhbm::interpose {
namespace {

using NvmlText = char[nvml_text_size];

// NVML's answer as a status that is easily looked at; false also for a function that is not there.
template <typename... P>
bool got(NvmlResult (*query)(P...), std::type_identity_t<P>... arguments) {
  return query != nullptr && query(arguments...) == NvmlResult::success;
}

}  // namespace

std::optional<MemoryInfo> NvmlScope::told(NvmlDevice device) const noexcept {
  if (linkage_ == nullptr || !scope_.outermost() || !tells_other_total()) return std::nullopt;
  const auto memory = memory_of(device);
  if (!memory) return std::nullopt;
  int count = 0;
  const bool initialised = scope_.linked() && scope_.linkage().ask.cuDeviceGetCount != nullptr &&
                           scope_.linkage().ask.cuDeviceGetCount(&count) == CUDA_SUCCESS;
  if (!initialised) {
    if (!may_become_one(device)) return std::nullopt;
    return told_before_use({memory->total}, {memory->free});
  }
  const auto found = cuda_device(device, count);
  std::size_t total = 0;
  if (!found || scope_.linkage().driver.cuDeviceTotalMem_v2(&total, *found) != CUDA_SUCCESS) {
    return std::nullopt;
  }
  return told_of(*found, {total}, {memory->free});
}

std::optional<CUdevice> NvmlScope::cuda_device(NvmlDevice device, int count) const noexcept {
  const Queries& cuda = scope_.linkage().ask;
  const auto uuid_of =
      cuda.cuDeviceGetUuid_v2 != nullptr ? cuda.cuDeviceGetUuid_v2 : cuda.cuDeviceGetUuid;
  NvmlText text;
  if (uuid_of == nullptr || !got(linkage_->ask.nvmlDeviceGetUUID, device, text, sizeof text)) {
    return std::nullopt;
  }
  const auto wanted = uuid_bytes(text);
  for (CUdevice one = 0; wanted && one < count; ++one) {
    CUuuid uuid{};
    if (uuid_of(&uuid, one) != CUDA_SUCCESS) continue;
    if (std::memcmp(uuid.bytes, wanted->data(), wanted->size()) == 0) return one;
  }
  return std::nullopt;
}

bool NvmlScope::may_become_one(NvmlDevice device) const noexcept {
  unsigned index = 0, count = 0;
  NvmlText uuid;
  if (!got(linkage_->ask.nvmlDeviceGetIndex, device, &index) ||
      !got(linkage_->ask.nvmlDeviceGetCount_v2, &count) ||
      !got(linkage_->ask.nvmlDeviceGetUUID, device, uuid, sizeof uuid)) {
    return false;
  }
  const char* const list = std::getenv("CUDA_VISIBLE_DEVICES");
  return is_visible({index, uuid}, list, count, numbered_alike(count));
}

// CUDA puts the fastest first, unless it is told to go by PCI address as NVML does; GPUs of one
// kind are as fast as each other.
bool NvmlScope::numbered_alike(unsigned count) const noexcept {
  const char* const order = std::getenv("CUDA_DEVICE_ORDER");
  if (order != nullptr && std::strcmp(order, "PCI_BUS_ID") == 0) return true;
  NvmlText first, other;
  for (unsigned i = 0; i < count; ++i) {
    NvmlDevice one = nullptr;
    if (!got(linkage_->ask.nvmlDeviceGetHandleByIndex_v2, i, &one) ||
        !got(linkage_->ask.nvmlDeviceGetName, one, i == 0 ? first : other, sizeof first)) {
      return false;
    }
    if (i != 0 && std::strcmp(first, other) != 0) return false;
  }
  return true;
}

std::optional<NvmlMemory> NvmlScope::memory_of(NvmlDevice device) const noexcept {
  // The second form says what of the total is the system's own, which CUDA's total is without.
  NvmlMemoryV2 second{};
  second.version = nvml_memory_v2;
  if (got(linkage_->own.nvmlDeviceGetMemoryInfo_v2, device, &second)) {
    return NvmlMemory{second.total - second.reserved, second.free, second.used};
  }
  NvmlMemory first{};
  if (got(linkage_->own.nvmlDeviceGetMemoryInfo, device, &first)) return first;
  return std::nullopt;
}

}  // namespace vhbm::interpose
