// What the device is, and what it says of itself. Attributes are asked for by number too, since a
// driver may know ones that this program's header has other words for; -1: the driver does not know
// it.
#include <array>

#include "machine.h"
#include "memory.h"

namespace vmm_probe {
namespace {

struct Attribute {
  CUdevice_attribute which;
  const char* name;
};

constexpr Attribute kAttributes[] = {
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, "compute_capability_major"},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, "compute_capability_minor"},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, "multiprocessors_count"},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, "l2_cache_bytes"},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, "copy_engines_count"},
    {CU_DEVICE_ATTRIBUTE_INTEGRATED, "integrated"},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, "unified_addressing"},
    {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, "vmm_supported"},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, "host_numa_id"},
    {static_cast<CUdevice_attribute>(141), "host_numa_vmm_supported"},
    {static_cast<CUdevice_attribute>(143), "host_numa_multinode_ipc_supported"},
    {static_cast<CUdevice_attribute>(145), "host_vmm_supported"},
    {CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, "posix_fd_handles_supported"},
    {CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED, "fabric_handles_supported"},
    {CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED, "gpu_direct_rdma_supported"},
    {CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
     "gpu_direct_rdma_with_vmm_supported"},
    {CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED, "dma_buf_supported"},
    {CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, "pageable_memory_access"},
    {CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
     "pageable_memory_access_uses_host_page_tables"},
    {CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, "host_native_atomic_supported"},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
     "can_use_host_pointer_for_registered_memory"},
    {CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED, "multicast_supported"},
    {static_cast<CUdevice_attribute>(136), "decompress_algorithms_mask"},
    {static_cast<CUdevice_attribute>(137), "decompress_maximum_length_bytes"},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, "stream_memory_operations_64_bit"},
};

Json granularity(const Probe& probe, CUmemLocationType type, int id) {
  CUmemAllocationProp properties = frame_properties(probe, Place::hbm);
  properties.location.type = type;
  properties.location.id = id;
  Json found;
  for (const auto& [flag, key] :
       {std::pair{CU_MEM_ALLOC_GRANULARITY_MINIMUM, "minimum_bytes"},
        std::pair{CU_MEM_ALLOC_GRANULARITY_RECOMMENDED, "recommended_bytes"}}) {
    std::size_t bytes = 0;
    const CUresult result = cu.cuMemGetAllocationGranularity(&bytes, &properties, flag);
    found[key] = result == CUDA_SUCCESS ? Json(bytes) : Json(name_of(result));
  }
  return found;
}

}  // namespace

void device(Probe& probe) {
  char name[256] = "";
  must(cu.cuDeviceGetName(name, sizeof name, probe.device()), "cuDeviceGetName");
  int version = 0;
  must(cu.cuDriverGetVersion(&version), "cuDriverGetVersion");
  char address[32];
  std::snprintf(address, sizeof address, "%04X:%02X:%02X.0",
                probe.attribute(CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID),
                probe.attribute(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID),
                probe.attribute(CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID));
  std::size_t free = 0, total = 0;
  must(cu.cuMemGetInfo_v2(&free, &total), "cuMemGetInfo");

  probe.record("name", name);
  probe.record("simulated", cu.simulated);
  probe.record("cuda_driver_version", version);
  probe.record("driver_version", driver_version());
  probe.record("total_memory_bytes", total);
  probe.record("free_memory_bytes", free);
  probe.record("pci_address", address);
  probe.record("pcie_link", pcie_link(address));
  Json attributes;
  for (const Attribute& attribute : kAttributes)
    attributes[attribute.name] = probe.attribute(attribute.which);
  probe.record("attributes", attributes);
  probe.record(
      "granularity",
      {{"device", granularity(probe, CU_MEM_LOCATION_TYPE_DEVICE, probe.device())},
       {"host_numa", granularity(probe, CU_MEM_LOCATION_TYPE_HOST_NUMA, probe.host_node())},
       {"host", granularity(probe, CU_MEM_LOCATION_TYPE_HOST, 0)}});
  probe.record("kernels",
               probe.has_kernels() ? "the probe's kernels run here" : probe.why_no_kernels());
  probe.headline(std::string(name) + ", " + fixed(to_gib(total), 1) + " GiB, CUDA driver " +
                 std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10));
}

}  // namespace vmm_probe
