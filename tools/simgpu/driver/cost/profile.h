// What a device costs, read once from the TOML file that SIMGPU_PROFILE names; profile.def is the
// list of its keys.
#pragma once

#include <limits>
#include <string>

namespace simgpu {

struct Profile {
  enum class Clock { virtual_time, real_time };

  Clock clock = Clock::virtual_time;
  double scale = 1;  // of the real clock: simulated seconds that pass in a real one

#define RATE(section, key, text) double section##_##key = std::numeric_limits<double>::infinity();
#define COST(section, key, text) double section##_##key = 0;
#include "cost/profile.def"
#undef RATE
#undef COST

  // False, with one line in `error` that names file, line, key, value and what is accepted.
  bool read(const std::string& path, std::string* error);
};

}  // namespace simgpu
