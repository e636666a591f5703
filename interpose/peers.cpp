#include "interpose/peers.h"

namespace vhbm::interpose {

void Peers::enabled(Side accessor, Side owner) {
  owners_.insert(owner.device);
  enabled_[{accessor.context, owner.context}] = {accessor.device, owner.device};
}

void Peers::disabled(CUcontext accessor, CUcontext owner) {
  enabled_.erase({accessor, owner});
}

void Peers::context_destroyed(CUcontext context) {
  std::erase_if(enabled_, [context](const auto& pair) {
    return pair.first.first == context || pair.first.second == context;
  });
}

std::vector<CUdevice> Peers::accessors_of(CUdevice owner) const {
  std::set<CUdevice> accessors;
  for (const auto& [contexts, devices] : enabled_) {
    if (devices.owner == owner && devices.accessor != owner) accessors.insert(devices.accessor);
  }
  return {accessors.begin(), accessors.end()};
}

}  // namespace vhbm::interpose
