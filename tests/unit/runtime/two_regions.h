// An application that uses two regions by turns, of which HBM holds one and a little.
#pragma once

#include <utility>

#include "test_gpu.h"

namespace vhbm {

class TwoRegions : public PagerTest {
 protected:
  void make_pressure(const Options& options) {
    start(options);
    first_ = allocate(mib(12));
    second_ = allocate(mib(12));
    fill(first_, mib(12), 1);
    fill(second_, mib(12), 2);
  }
  // Until all of it is in HBM: work that names it reads nothing in place any more.
  [[nodiscard]] bool bring(DeviceAddress region) {
    std::uint64_t before = stat(Stat::named_in_place_bytes);
    return use_until(region, [&] {
      const std::uint64_t now = stat(Stat::named_in_place_bytes);
      return std::exchange(before, now) == now;
    });
  }
  [[nodiscard]] bool go_back_and_forth() {
    for (int i = 0; i < 3; ++i) {
      if (!bring(second_) || !bring(first_)) return false;
    }
    return true;
  }

  DeviceAddress first_, second_;
};

}  // namespace vhbm
