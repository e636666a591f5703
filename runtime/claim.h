// What one process asks of a GPU that several processes share, and what it gets: values only. Times
// are of the clock that all processes of a machine read alike.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/units.h"

namespace vhbm {

// `latency` has its turns sooner and more often: four times as long as `batch` of the same
// priority.
enum class GpuClass : std::uint32_t { latency, batch };

struct Claim {
  std::uint64_t id = 0;  // no two alike; who came first has the smaller one
  GpuClass gpu_class = GpuClass::latency;
  std::uint32_t priority = 50;  // 1 to 100
  Bytes wants;                  // HBM that holds all it has
  Bytes floor;                  // of that, what cannot leave
  Bytes holds;
  bool active = false;                    // it has work, or work of it waits
  bool responds = false;                  // otherwise it is stopped, or frozen, and gives nothing
  std::chrono::nanoseconds active_at{0};  // the last time
  std::chrono::nanoseconds active_since{0};  // without a pause
  std::chrono::nanoseconds served{0};        // turns that it had, the longer the less it weighs
  std::chrono::nanoseconds turn_since{0};    // 0: it has none
  // What it took, the last time or so far, until all it wants was back once it had its turn.
  std::chrono::nanoseconds change{0};
};

// Every claim on one GPU, and what there is.
struct Contest {
  std::span<const Claim> claims;
  Bytes room;
  std::chrono::nanoseconds now{0};
  std::chrono::nanoseconds quantum{0};  // how long a turn is at least
  std::uint64_t most_lost = 100;        // percent of a turn that changing may take
};

struct Share {
  Bytes grant;                       // what it may hold
  bool runs = true;                  // otherwise its work waits for its turn
  bool has_turn = false;             // the one that all others have to make room for
  std::chrono::nanoseconds turn{0};  // how long a turn is now
  bool operator==(const Share&) const = default;
};

// One for each claim. The same values give the same answer in every process.
using ShareOut = std::vector<Share> (*)(const Contest&);

}  // namespace vhbm
