// An application that uses two regions by turns, of which HBM holds one and a little.
#pragma once

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
  // Until as much of it came to HBM as had not been there.
  [[nodiscard]] bool bring(DeviceAddress region) {
    const Bytes before = stat_bytes(Stat::promoted_bytes);
    return use_until(region, [&] { return stat_bytes(Stat::promoted_bytes) >= before + mib(8); });
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
