// A peer's access can be set while kernels run in the range: no mapping changes.
#include "runtime/peers.h"

#include <algorithm>
#include <vector>

#include "runtime/context_scope.h"

namespace vhbm {
namespace {

bool contains(std::span<const CUdevice> devices, CUdevice one) {
  return std::find(devices.begin(), devices.end(), one) != devices.end();
}

// Of `devices`, those that are not among `others`.
std::vector<CUdevice> without(std::span<const CUdevice> devices, std::span<const CUdevice> others) {
  std::vector<CUdevice> left;
  for (const CUdevice one : devices) {
    if (!contains(others, one)) left.push_back(one);
  }
  return left;
}

void close(Device& device, std::span<Region* const> regions, CUdevice peer) {
  for (const Region* region : regions) {
    (void)device.mapper->allow(region->view.base, region->mapped_size(), peer,
                               CU_MEM_ACCESS_FLAGS_PROT_NONE);
  }
}

Status open(Device& device, std::span<Region* const> regions, CUdevice peer) {
  for (std::size_t i = 0; i < regions.size(); ++i) {
    Status status = device.mapper->allow(regions[i]->view.base, regions[i]->mapped_size(), peer,
                                         CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    if (status.ok()) continue;
    close(device, regions.first(i), peer);
    return status;
  }
  return {};
}

}  // namespace

Status set_peers(Device& device, std::span<const CUdevice> peers) {
  RelaxedCapture relaxed(device.driver);
  std::lock_guard lock(device.lock);
  std::vector<Region*> regions = device.regions.live();
  // What the application mapped itself, it opens itself.
  std::erase_if(regions, [](const Region* region) { return region->access.has_value(); });
  // Which may be had again as they are.
  for (Region* region : device.idle.regions()) regions.push_back(region);
  const std::vector<CUdevice> before(device.mapper->peers().begin(), device.mapper->peers().end());
  const std::vector<CUdevice> opened = without(peers, before);
  for (std::size_t i = 0; i < opened.size(); ++i) {
    Status status = open(device, regions, opened[i]);
    if (status.ok()) continue;
    for (std::size_t undone = 0; undone < i; ++undone) close(device, regions, opened[undone]);
    return status;
  }
  for (const CUdevice peer : without(before, peers)) close(device, regions, peer);
  device.mapper->set_peers(peers);
  return {};
}

}  // namespace vhbm
