// How a kernel's arguments are read: the size of each of its parameters, learnt at its first
// launch. Layouts are shared by all functions that have the same one and are kept for good, so a
// launch may read one while its module is unloaded. Locking: find() none; learn() and forget() a
// mutex.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

#include "interpose/functions.h"
#include "interpose/handle_table.h"

namespace vhbm::interpose {

// Whole 8-byte words of each parameter, in order. A pointer lies at a multiple of 8 in its
// parameter, also inside a struct.
using ParameterLayout = std::vector<std::uint32_t>;

class ParameterLayouts {
 public:
  // Hot. nullptr when the function was not seen yet.
  [[nodiscard]] const ParameterLayout* find(CUfunction function) const noexcept {
    return known_.find(function);
  }
  // Asks the driver; one without parameters when it cannot tell. nullptr before 12.4, or when there
  // are more functions than can be kept.
  const ParameterLayout* learn(CUfunction function, const Queries& ask) noexcept;
  // A module was unloaded: its functions' handles may come back for others.
  void forget() noexcept;

 private:
  std::mutex mutex_;
  std::set<ParameterLayout> layouts_;
  std::atomic<bool> full_{false};
  HandleTable<ParameterLayout, 8192> known_;
};

}  // namespace vhbm::interpose
