// The addresses that all regions of this process are carved from: one range, an equal part of it
// for each device, so that an address tells its device by a shift. Reserved when the first device
// starts. Locking: the starter's; device_of() takes none and is hot.
#pragma once

#include <cstdint>

#include "runtime/driver.h"
#include "runtime/options.h"
#include "runtime/reservation.h"
#include "runtime/window.h"

namespace vhbm {

class SharedWindow {
 public:
  explicit SharedWindow(const Driver& driver) : driver_(driver) {}
  // Gives the addresses back, unless something may still be mapped there.
  ~SharedWindow();
  SharedWindow(const SharedWindow&) = delete;
  SharedWindow& operator=(const SharedWindow&) = delete;

  // The part of a device that has so much memory.
  //   Errc::unsupported  no range is large enough
  [[nodiscard]] Result<Reservation> part_of(CUdevice device, Bytes memory, const Options& options);
  void keep() noexcept { kept_ = true; }

  // Nothing lies in it before the first part was given out.
  [[nodiscard]] const Window& whole() const noexcept { return whole_; }
  // Hot. Requires whole().contains(address).
  [[nodiscard]] std::uint32_t device_of(std::uint64_t address) const noexcept {
    return static_cast<std::uint32_t>((address - whole_.begin()) >> shift_);
  }
  // How many parts there are.
  [[nodiscard]] std::uint32_t parts() const noexcept { return parts_; }

 private:
  [[nodiscard]] Status reserve(Bytes memory, const Options& options);

  const Driver& driver_;
  Window whole_;
  Reservation reservation_{};
  std::uint32_t parts_ = 0;
  unsigned shift_ = 63;
  bool kept_ = false;
};

}  // namespace vhbm
