// With one device its part is all of it; with more, parts are powers of two.
#include "runtime/shared_window.h"

#include <algorithm>
#include <bit>

#include "runtime/address_space.h"

namespace vhbm {
namespace {

constexpr Bytes least_part = gib(1);

}  // namespace

SharedWindow::~SharedWindow() {
  if (reservation_.size.value != 0 && !kept_) {
    driver_.cuMemAddressFree(reservation_.begin.value, reservation_.size.value);
  }
}

Status SharedWindow::reserve(Bytes memory, const Options& options) {
  int devices = 1;
  if (driver_.cuDeviceGetCount == nullptr || driver_.cuDeviceGetCount(&devices) != CUDA_SUCCESS) {
    devices = 1;
  }
  const auto parts = static_cast<std::uint32_t>(std::max(devices, 1));
  const Bytes alignment = options.chunk_size.resolve({}, base_page);
  Bytes part = options.window_size.resolve(memory, gib(1024));
  if (parts > 1) part = {std::bit_floor(part.value)};
  // Halving the whole halves each part, which stays a power of two.
  const auto made = reserve_addresses(driver_, part * parts, least_part * parts, alignment);
  if (!made.ok()) {
    return {Errc::unsupported, "no window of 1 GiB a device or more could be reserved: " +
                                   made.status().message() + "; VHBM_WINDOW_SIZE sets its size"};
  }
  reservation_ = *made;
  parts_ = parts;
  if (parts > 1) shift_ = static_cast<unsigned>(std::countr_zero(made->size.value / parts));
  whole_ = Window(made->begin, made->size);
  return {};
}

Result<Reservation> SharedWindow::part_of(CUdevice device, Bytes memory, const Options& options) {
  if (parts_ == 0) {
    if (Status status = reserve(memory, options); !status.ok()) return status;
  }
  const auto which = static_cast<std::uint32_t>(device);
  if (which >= parts_) return Status(Errc::unsupported, "the driver did not count this device");
  const Bytes size{reservation_.size.value / parts_};
  return Reservation{reservation_.begin + size * which, size};
}

}  // namespace vhbm
