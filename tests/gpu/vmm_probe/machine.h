// What the figures were taken on: kernel, NUMA nodes, driver version, PCIe link. Reads files, and
// for the last two the management library where there is one; never the CUDA driver.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace vmm_probe {

nlohmann::ordered_json describe_machine();

std::string driver_version();  // as NVIDIA numbers it, "580.65.06"; empty where nothing tells

// Link speed and width of the GPU at a PCI address such as "0000:17:00.0", now (an idle GPU may
// have lowered it) and at most; what cannot be read is left out.
nlohmann::ordered_json pcie_link(const std::string& pci_address);

std::string date_now();  // ISO 8601, UTC

}  // namespace vmm_probe
