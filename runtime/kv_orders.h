// The order that asks what is known of how kernels find their KV blocks. Locking: a device's lock
// for moments.
#pragma once

#include "runtime/order_request.h"

namespace vhbm {

class Devices;

[[nodiscard]] std::string kv_order(const Devices& devices, const OrderJson& request);

}  // namespace vhbm
