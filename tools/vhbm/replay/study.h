// What a replay answers: for each size of HBM, each policy beside Belady's bound and what the
// machine could do at best. Invariant: the same recording and choices give the same study, however
// many threads compute it. Locking: none outside.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "policies/policy.h"
#include "replay/bound.h"
#include "replay/model.h"
#include "replay/recorded.h"

namespace vhbm::replay {

struct Choices {
  std::vector<const Policy*> policies;
  std::vector<Bytes> limits;  // as hbm_limit; the recording's own where there are none
  Options options;            // the recording's, with what was changed
  bool options_changed = false;
  Rates rates;
};

struct PolicyResult {
  const Policy* policy = nullptr;
  Played played;
};

// Of one size of HBM.
struct SizeResult {
  Bytes limit, room;  // for chunks
  bool own = false;   // the recording's
  Least least, on_demand;
  std::chrono::nanoseconds best{0};  // the slower of HBM with all in it, and the bound's bytes
  std::vector<PolicyResult> policies;
  // Where this is what was recorded: its policy.
  std::string recorded_policy;
};

struct Study {
  Bytes peak;  // all that regions take when they take most
  std::chrono::nanoseconds hbm_time{0};
  std::vector<SizeResult> sizes;
};

// `done` of `all` were played: for a display; called by one thread at a time.
using Progress = std::function<void(std::size_t done, std::size_t all)>;

[[nodiscard]] Study study(const Recorded& recorded, const Choices& choices,
                          const Progress& progress);

// The options that a trace's header tells, as far as this version knows them.
[[nodiscard]] Options options_of(const recording::TraceHeader& header);

}  // namespace vhbm::replay
