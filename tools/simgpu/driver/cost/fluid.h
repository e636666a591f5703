// How simulated work shares the device: each piece draws bytes over the link, each way, and from
// device memory, all at once, and pieces that draw on the same thing get equal parts of it. Knows
// no clock: whoever owns one says how much time passed. Times in seconds. Locking: the caller's.
#pragma once

#include <array>
#include <vector>

#include "cost/profile.h"

namespace simgpu {

enum class Path { to_device, to_host, memory };
inline constexpr std::size_t path_count = 3;

// What one piece of work costs the device.
struct Demand {
  double start = 0;                        // seconds before its first byte
  std::array<double, path_count> bytes{};  // by Path

  double& operator[](Path path) { return bytes[static_cast<std::size_t>(path)]; }
};

class Fluid {
 public:
  explicit Fluid(const Profile& profile) : profile_(profile) {}

  // `demand` counts down to nothing as time passes, and must stay where it is until removed.
  void add(Demand* demand) { active_.push_back(demand); }
  void remove(Demand* demand);
  [[nodiscard]] static bool exhausted(const Demand& demand);

  // Until some piece starts to draw or has drawn all of one path's bytes: till then no rate
  // changes. Infinity when nothing is left to draw.
  [[nodiscard]] double until_change() const;
  // Requires `seconds` <= until_change().
  void pass(double seconds);

 private:
  // Bytes a second that each piece drawing on a path gets.
  [[nodiscard]] std::array<double, path_count> rates() const;

  const Profile& profile_;
  std::vector<Demand*> active_;
};

}  // namespace simgpu
