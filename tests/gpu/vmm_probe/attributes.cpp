// What an application can see of an address: every pointer attribute, the address range, the access
// and the handle behind it, for HBM-backed and host-backed mappings and for ordinary allocations.
#include "gpu_work.h"

namespace vmm_probe {
namespace {

struct Attribute {
  CUpointer_attribute which;
  const char* name;
  unsigned bytes;
};

constexpr Attribute kAttributes[] = {
    {CU_POINTER_ATTRIBUTE_CONTEXT, "CONTEXT", 8},
    {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, "MEMORY_TYPE", 4},
    {CU_POINTER_ATTRIBUTE_DEVICE_POINTER, "DEVICE_POINTER", 8},
    {CU_POINTER_ATTRIBUTE_HOST_POINTER, "HOST_POINTER", 8},
    {CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, "SYNC_MEMOPS", 4},
    {CU_POINTER_ATTRIBUTE_BUFFER_ID, "BUFFER_ID", 8},
    {CU_POINTER_ATTRIBUTE_IS_MANAGED, "IS_MANAGED", 4},
    {CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, "DEVICE_ORDINAL", 4},
    {CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, "IS_LEGACY_CUDA_IPC_CAPABLE", 4},
    {CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, "RANGE_START_ADDR", 8},
    {CU_POINTER_ATTRIBUTE_RANGE_SIZE, "RANGE_SIZE", 8},
    {CU_POINTER_ATTRIBUTE_MAPPED, "MAPPED", 4},
    {CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, "ALLOWED_HANDLE_TYPES", 8},
    {CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE, "IS_GPU_DIRECT_RDMA_CAPABLE", 4},
    {CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, "ACCESS_FLAGS", 4},
    {CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, "MEMPOOL_HANDLE", 8},
    {CU_POINTER_ATTRIBUTE_MAPPING_SIZE, "MAPPING_SIZE", 8},
    {CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, "MAPPING_BASE_ADDR", 8},
    {CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID, "MEMORY_BLOCK_ID", 8},
};

std::string hexadecimal(std::uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

Json seen_at(const Probe& probe, CUdeviceptr address) {
  Json attributes;
  for (const Attribute& attribute : kAttributes) {
    std::uint64_t value = 0;  // little-endian: four-byte answers fill its low half
    const CUresult result = cu.cuPointerGetAttribute(&value, attribute.which, address);
    attributes[attribute.name] = result != CUDA_SUCCESS ? Json(name_of(result))
                                 : attribute.bytes == 4 ? Json(static_cast<std::int32_t>(value))
                                                        : Json(hexadecimal(value));
  }
  Json seen = {{"address", hexadecimal(address)}, {"attributes", attributes}};

  CUdeviceptr base = 0;
  std::size_t size = 0;
  const CUresult range = cu.cuMemGetAddressRange_v2(&base, &size, address);
  seen["address_range"] = {{"result", name_of(range)}};
  if (range == CUDA_SUCCESS) {
    seen["address_range"]["offset_in_range_bytes"] = address - base;
    seen["address_range"]["range_bytes"] = size;
  }
  if (cu.cuMemGetAccess) {
    CUmemLocation location{};
    location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    location.id = probe.device();
    unsigned long long flags = 0;
    const CUresult result = cu.cuMemGetAccess(&flags, &location, address);
    seen["access"] = {{"result", name_of(result)}, {"flags", flags}};
  }
  if (cu.cuMemRetainAllocationHandle) {
    CUmemGenericAllocationHandle handle = 0;
    const CUresult result =
        cu.cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(address));
    seen["retain_handle"] = name_of(result);
    if (result == CUDA_SUCCESS) cu.cuMemRelease(handle);
  }
  return seen;
}

}  // namespace

void pointer_attributes(Probe& probe) {
  const std::vector<Frame> hbm = make_frames(probe, Place::hbm, 2_MiB, 2);
  const std::vector<Frame> host = make_frames(probe, Place::host, 2_MiB, 2);
  Window window(probe, 8_MiB);  // two chunks mapped, the rest reserved only
  const auto keep = [&](const char* state, CUdeviceptr address) {
    Json row = {{"state", state}};
    row.update(seen_at(probe, address));
    probe.append("by_state", row);
  };
  keep("reserved, not mapped", window.base());
  window.map_all(hbm);
  keep("hbm, first chunk", window.base());
  keep("hbm, in the middle of the first chunk", window.base() + 1_MiB + 4);
  keep("hbm, second chunk", window.base() + 2_MiB);
  window.unmap(0, 4_MiB);
  keep("between: unmapped", window.base());
  for (std::size_t i = 0; i < 2; ++i) window.map(i * 2_MiB, host[i]);
  keep("host_frame, mapped but no access yet", window.base());
  window.allow(0, 4_MiB);
  keep("host_frame, first chunk", window.base());
  keep("host_frame, second chunk", window.base() + 2_MiB);
  const auto memory_type = [&] {
    return seen_at(probe, window.base())["attributes"]["MEMORY_TYPE"].dump();
  };
  const std::string host_type = memory_type();
  window.unmap(0, 2_MiB);
  window.map(0, hbm[0]);
  window.allow(0, 2_MiB);
  keep("hbm, host_frame beside it", window.base());
  keep("host_frame, hbm beside it", window.base() + 2_MiB);
  const std::string hbm_type = memory_type();

  CUdeviceptr allocated = 0;
  must(cu.cuMemAlloc_v2(&allocated, 4_MiB), "cuMemAlloc");
  keep("cuMemAlloc", allocated);
  keep("cuMemAlloc, in the middle", allocated + 2_MiB + 4);
  cu.cuMemFree_v2(allocated);
  keep("cuMemAlloc, freed", allocated);
  const PinnedMemory pinned(probe, 2_MiB);
  keep("cuMemHostAlloc", pinned.address());
  probe.headline("MEMORY_TYPE: hbm " + hbm_type + ", host frame " + host_type +
                 " (1 host, 2 device)");
}

}  // namespace vmm_probe
