// The orders that begin a recording, tell how far it is, and end it. Locking: by one thread; a
// device's lock for moments.
#pragma once

#include "runtime/order_request.h"

namespace vhbm {

class Devices;

[[nodiscard]] std::string record_order(const Devices& devices, const OrderJson& request);
[[nodiscard]] std::string recording_order(const Devices& devices, const OrderJson& request);

}  // namespace vhbm
