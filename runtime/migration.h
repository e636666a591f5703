// Moves much of one device at once, in large batches, while the gate is closed and no work is in
// flight: what leaves for a sleep, and what comes back. While a batch is being copied, frames are
// given back to the driver, or made, for the next one, since both take as long as copying does.
// Invariant: as of a flip; between two batches every chunk is mapped to its bytes. Locking: takes
// the device's lock for each batch; the caller holds the gate closed, and not that lock.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "runtime/device.h"
#include "runtime/flip.h"
#include "runtime/residency.h"

namespace vhbm {

// What may move of a device, in no order, and when it is expected to be used, as of `lead` uses
// from now. The caller holds the device's lock.
[[nodiscard]] std::vector<Candidate> candidates_of(Device& device, std::uint64_t lead);

class Migration {
 public:
  // `interrupted` is asked between batches: true, and the rest stays where it is.
  Migration(Device& device, Gate& gate, std::function<bool()> interrupted)
      : device_(device), gate_(gate), interrupted_(std::move(interrupted)) {}

  // Sends chunks out of HBM until `most` bytes of HBM were given back to the driver, the coldest
  // first; with no bound, those that have a copy on the host first, since they leave without being
  // copied and would otherwise lose it to others. What the host has no room for stays. Returns what
  // left.
  Bytes leave(Bytes most);
  // Brings chunks to HBM in this order, as long as there is room, or `wait_for_room` says that
  // there will be; returns what came.
  Bytes come_back(std::span<const ChunkId> order, const std::function<bool()>& wait_for_room);
  // leave() ended for want of host memory.
  [[nodiscard]] bool host_was_short() const { return host_was_short_; }

 private:
  // One batch, of which what could be moved has.
  [[nodiscard]] Flip::Outcome move(const Plan& plan, const Copier::Meanwhile& meanwhile);
  [[nodiscard]] Bytes resident() const { return {device_.stats.get(Stat::resident_bytes)}; }

  Device& device_;
  Gate& gate_;
  const std::function<bool()> interrupted_;
  bool host_was_short_ = false;
};

}  // namespace vhbm
