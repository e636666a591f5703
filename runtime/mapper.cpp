// The only file that maps and unmaps.
#include "runtime/mapper.h"

#include <algorithm>

namespace vhbm {

namespace {

CUmemAccessDesc access_of(CUdevice device, CUmemAccess_flags flags) {
  CUmemAccessDesc access{};
  access.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  access.flags = flags;
  return access;
}

}  // namespace

CUmemAccess_flags allowed_to(CUdevice device, const AccessList& list) {
  const auto found = std::find_if(list.begin(), list.end(), [device](const CUmemAccessDesc& one) {
    return one.location.id == device;
  });
  return found == list.end() ? CU_MEM_ACCESS_FLAGS_PROT_NONE : found->flags;
}

Mapper::Mapper(const Driver& driver, Stats& stats, CUdevice device)
    : driver_(driver),
      stats_(stats),
      access_{access_of(device, CU_MEM_ACCESS_FLAGS_PROT_READWRITE)} {}

void Mapper::set_peers(std::span<const CUdevice> peers) {
  std::vector<CUdevice> devices(peers.begin(), peers.end());
  AccessList access{access_.front()};
  for (const CUdevice peer : peers) {
    access.push_back(access_of(peer, CU_MEM_ACCESS_FLAGS_PROT_READWRITE));
  }
  peers_.swap(devices);
  access_.swap(access);
}

Status Mapper::allow(DeviceAddress base, Bytes size, CUdevice device,
                     CUmemAccess_flags flags) const {
  const CUmemAccessDesc access = access_of(device, flags);
  const CUresult result = driver_.cuMemSetAccess(base.value, size.value, &access, 1);
  return result == CUDA_SUCCESS ? Status() : failed(result, "cuMemSetAccess");
}

Status Mapper::failed(CUresult result, const char* call) const {
  stats_.add(Stat::driver_errors, 1);
  return Status::driver(result, call);
}

Status Mapper::map(DeviceAddress base, Handles handles, Bytes size,
                   const std::optional<AccessList>& access) const {
  const AccessList& allowed = access ? *access : access_;
  std::size_t mapped = 0;
  CUresult result = CUDA_SUCCESS;
  const char* call = "cuMemMap";
  for (; mapped < handles.size(); ++mapped) {
    result = driver_.cuMemMap((base + size * mapped).value, size.value, 0, handles[mapped], 0);
    if (result != CUDA_SUCCESS) break;
  }
  if (result == CUDA_SUCCESS && !allowed.empty()) {
    call = "cuMemSetAccess";
    result = driver_.cuMemSetAccess(base.value, (size * handles.size()).value, allowed.data(),
                                    allowed.size());
  }
  if (result == CUDA_SUCCESS) return {};
  Status why = failed(result, call);
  if (mapped != 0) {
    if (Status undone = unmap(base, size * mapped); !undone.ok()) {
      // One by one, should a single call not span them.
      for (std::size_t i = 0; i < mapped; ++i) (void)unmap(base + size * i, size);
    }
  }
  return why;
}

Status Mapper::unmap(DeviceAddress base, Bytes size) const {
  const CUresult result = driver_.cuMemUnmap(base.value, size.value);
  return result == CUDA_SUCCESS ? Status() : failed(result, "cuMemUnmap");
}

Mapper::Switched Mapper::replace(DeviceAddress base, Backing from,
                                 const std::optional<AccessList>& access_before, Backing to,
                                 const std::optional<AccessList>& access) const {
  if (!unmap(base, from.size()).ok()) return Switched::restored;
  if (map(base, to.handles, to.each, access).ok()) return Switched::yes;
  // A driver that ran short for a moment gets a second chance; both hold the application's bytes.
  constexpr int attempts = 3;
  for (int i = 0; i < attempts; ++i) {
    if (map(base, from.handles, from.each, access_before).ok()) return Switched::restored;
    if (map(base, to.handles, to.each, access).ok()) return Switched::yes;
  }
  return Switched::broken;
}

}  // namespace vhbm
