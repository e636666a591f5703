// Reserves virtual addresses, which costs no memory.
#pragma once

#include "runtime/driver.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

struct Reservation {
  DeviceAddress begin;
  Bytes size;
};

// `size` bytes, or half of it, or a quarter, ..., down to `least`; in multiples of `alignment`.
[[nodiscard]] Result<Reservation> reserve_addresses(const Driver& driver, Bytes size, Bytes least,
                                                    Bytes alignment);

}  // namespace vhbm
