// Which devices' kernels reach which devices' memory. The driver gives access from context to
// context, mapped memory from device to device: so a device has it as long as any of its contexts
// does. Values only. Locking: the owner's.
#pragma once

#include <cuda.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

namespace vhbm::interpose {

class Peers {
 public:
  struct Side {
    CUcontext context;
    CUdevice device;
  };
  // `accessor` may use what is allocated in `owner`.
  void enabled(Side accessor, Side owner);
  void disabled(CUcontext accessor, CUcontext owner);
  // It gives no access any more, and has none.
  void context_destroyed(CUcontext context);

  // Devices whose memory others reach, or once did.
  [[nodiscard]] const std::set<CUdevice>& owners() const { return owners_; }
  // Other devices that reach memory of `owner`, each once, in order.
  [[nodiscard]] std::vector<CUdevice> accessors_of(CUdevice owner) const;

 private:
  struct Devices {
    CUdevice accessor, owner;
  };
  std::map<std::pair<CUcontext, CUcontext>, Devices> enabled_;  // by accessor and owner
  std::set<CUdevice> owners_;
};

}  // namespace vhbm::interpose
