// Makes traces that look like Mooncake's conversation trace: sessions of several turns that arrive
// as a Poisson process, all behind one system prompt; each turn's input repeats the session so far
// and adds to it, lengths are lognormal. The same settings give the same trace, on every machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "trace.h"

namespace sample_server {

struct SynthesisSettings {
  std::size_t requests = 500;
  std::uint64_t seed = 1;
  double requests_per_second = 3.0;
  double mean_turns = 2.0;                // of a session
  std::chrono::seconds mean_pause{20};    // between an answer and the session's next turn
  std::uint64_t system_prompt = 512;      // tokens that all sessions share
  std::uint64_t median_new_input = 5000;  // tokens that a turn adds
  std::uint64_t median_output = 350;
  double spread = 1.1;  // the lognormal's sigma for input; half of it for output
  std::uint64_t longest_context = 120'000;  // tokens; a session that reaches it ends
};

std::vector<TraceRequest> synthesise_trace(const SynthesisSettings& settings);

}  // namespace sample_server
