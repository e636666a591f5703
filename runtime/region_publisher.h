// Tells others of the live regions, a few times a second at most. Locking: takes the device's lock;
// only the pager's thread calls it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "runtime/device.h"
#include "runtime/kv_heat.h"

namespace vhbm {

class RegionPublisher {
 public:
  explicit RegionPublisher(Device& device) : device_(device) {}

  // Between two rounds. Returns at once unless it is time.
  void round();

 private:
  using Clock = std::chrono::steady_clock;

  // The least that a group of chunks has to hold for all of them to have room.
  [[nodiscard]] Bytes group_size(const std::vector<Region*>& regions) const;
  // Appends the region's groups to groups_, as far as there is room.
  [[nodiscard]] RegionRow describe(const Region& region, Bytes group);
  // What kv_ says to others. Returns what would cure that what is in use is too scattered.
  [[nodiscard]] std::string publish_kv();
  // The mean length of all rounds, in nanoseconds.
  [[nodiscard]] double mean_round() const;
  // How long ago a round was.
  [[nodiscard]] std::uint64_t age_of(Epoch used) const;
  // The first round of the last second; never 0.
  [[nodiscard]] Epoch recent() const;

  Device& device_;
  const Clock::time_point begin_ = Clock::now();
  const Epoch first_ = device_.now.load();
  Clock::time_point next_ = begin_;
  std::vector<RegionRow> rows_;  // both kept for their memory
  std::vector<std::uint8_t> groups_;
  Bytes working_set_;  // of what was described so far
  KvUse kv_;           // the same
  bool told_scattered_ = false;
};

}  // namespace vhbm
