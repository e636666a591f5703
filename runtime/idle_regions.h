// Regions that the application freed in the order of a stream: each waits for its event, and then
// to be had again as it is, mapped and backed, which spares a program that allocates and frees at
// every step the cost of mapping. Invariant: no region here can be found by the application.
// Locking: the device's lock.
#pragma once

#include <cuda.h>

#include <chrono>
#include <vector>

#include "runtime/driver.h"
#include "runtime/regions.h"
#include "runtime/stream_order.h"

namespace vhbm {

class IdleRegions {
 public:
  using Clock = std::chrono::steady_clock;

  explicit IdleRegions(const Driver& driver) : driver_(driver) {}
  ~IdleRegions();
  IdleRegions(const IdleRegions&) = delete;
  IdleRegions& operator=(const IdleRegions&) = delete;

  // An event of the context that is in no use, nullptr when there is none.
  [[nodiscard]] CUevent spare_event(CUcontext context);
  void recycle(CUcontext context, CUevent event) { spare_.push_back({context, event}); }
  // `event` was recorded where the stream reaches the free.
  void add(Region* region, const StreamOrder& freed_on, CUevent event);

  // One whose mapping is exactly of that size: of the same stream, whose later work may have it at
  // once, else one whose free was reached. nullptr when there is none.
  [[nodiscard]] Region* take(Bytes mapped, std::uint64_t stream);
  // The longest idle one whose free was reached and which nobody took since `before`, or nullptr.
  [[nodiscard]] Region* take_idle_since(Clock::time_point before);

  // The context's work has ended, and its events go with it.
  void context_destroyed(CUcontext context);

  [[nodiscard]] std::vector<Region*> regions() const;
  [[nodiscard]] bool empty() const { return idle_.empty(); }
  // Some wait for their event.
  [[nodiscard]] bool pending() const;
  [[nodiscard]] Bytes mapped_bytes() const { return mapped_; }

 private:
  struct Idle {
    Region* region;
    StreamOrder freed_on;
    CUevent event;  // nullptr once it was reached
    Clock::time_point since;
  };
  struct Event {
    CUcontext context;
    CUevent event;
  };
  [[nodiscard]] bool reached(Idle& idle);
  Region* take(std::vector<Idle>::iterator idle);

  const Driver& driver_;
  std::vector<Idle> idle_;  // oldest first
  std::vector<Event> spare_;
  Bytes mapped_;
};

}  // namespace vhbm
