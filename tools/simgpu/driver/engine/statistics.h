// What the simulated device did, for tests that need the truth from outside the program under test.
#pragma once

#include <atomic>
#include <cstdint>

namespace simgpu {

struct Statistics {
  std::atomic<std::uint64_t> kernels{0}, copied_bytes{0}, graph_launches{0};
  std::atomic<std::uint64_t> link_bytes{0};  // that kernels drew over the link, as they declare
};
Statistics& statistics();

}  // namespace simgpu
