#include "cost/fluid.h"

#include <algorithm>
#include <limits>

namespace simgpu {
namespace {

constexpr double giga = 1e9;
constexpr double forever = std::numeric_limits<double>::infinity();

bool draws(const Demand& demand, std::size_t path) {
  return demand.start <= 0 && demand.bytes[path] > 0;
}

}  // namespace

void Fluid::remove(Demand* demand) {
  active_.erase(std::remove(active_.begin(), active_.end(), demand), active_.end());
}

bool Fluid::exhausted(const Demand& demand) {
  return demand.start <= 0 && std::all_of(demand.bytes.begin(), demand.bytes.end(),
                                          [](double left) { return left <= 0; });
}

std::array<double, path_count> Fluid::rates() const {
  std::array<double, path_count> drawing{};
  for (const Demand* demand : active_) {
    for (std::size_t path = 0; path < path_count; ++path) drawing[path] += draws(*demand, path);
  }
  double to_device = profile_.link_to_device_GBps, to_host = profile_.link_to_host_GBps;
  const bool both = drawing[0] > 0 && drawing[1] > 0;
  if (both && to_device + to_host > profile_.link_both_GBps) {
    // Each way keeps its part of what both can do. A way without a limit takes half.
    const double part =
        to_device < forever && to_host < forever ? to_device / (to_device + to_host) : 0.5;
    to_device = profile_.link_both_GBps * part;
    to_host = profile_.link_both_GBps * (1 - part);
  }
  std::array<double, path_count> rates{to_device, to_host, profile_.hbm_bandwidth_GBps};
  for (std::size_t path = 0; path < path_count; ++path) {
    rates[path] *= giga / std::max(1.0, drawing[path]);
  }
  return rates;
}

double Fluid::until_change() const {
  const auto now = rates();
  double soonest = forever;
  for (const Demand* demand : active_) {
    if (demand->start > 0) soonest = std::min(soonest, demand->start);
    for (std::size_t path = 0; path < path_count; ++path) {
      if (draws(*demand, path)) soonest = std::min(soonest, demand->bytes[path] / now[path]);
    }
  }
  return soonest;
}

void Fluid::pass(double seconds) {
  const auto now = rates();
  // What is nearly nothing is nothing: sums of fractions do not come out even.
  constexpr double least_seconds = 1e-13, least_bytes = 1e-3;
  const auto take = [](double& left, double amount, double least) {
    left = left - amount < least ? 0 : left - amount;
  };
  for (Demand* demand : active_) {
    if (demand->start > 0) {
      take(demand->start, seconds, least_seconds);
      continue;
    }
    for (std::size_t path = 0; path < path_count; ++path) {
      // Where nothing limits, everything passes at once.
      if (draws(*demand, path)) {
        take(demand->bytes[path], now[path] == forever ? forever : now[path] * seconds,
             least_bytes);
      }
    }
  }
}

}  // namespace simgpu
