// What the devices of one process share: the gate before all GPU work, what is known of the work in
// flight, the window of addresses, and the ledger of host memory. Outlives them. Locking: each
// member's own.
#pragma once

#include <atomic>

#include "runtime/drain.h"
#include "runtime/gate.h"
#include "runtime/host_ledger.h"
#include "runtime/shared_window.h"
#include "runtime/stats.h"

namespace vhbm {

struct Process {
  explicit Process(const Driver& driver) : drain(driver), window(driver) {}

  Gate gate;
  Drain drain;
  ShardedCounter launches;
  HostLedger host;
  SharedWindow window;
  std::atomic<bool> has_devices{false};
};

}  // namespace vhbm
