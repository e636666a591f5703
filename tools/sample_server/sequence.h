// One request on its way through the server.
// Invariant: computed <= tokens.size(); the KV of the first `computed` tokens is in the cache while
// the sequence is running, and `computed` is 0 while it waits.
#pragma once

#include <xxhash.h>

#include <chrono>
#include <cstddef>
#include <vector>

#include "kv_manager.h"

namespace sample_server {

struct Sequence {
  using Clock = std::chrono::steady_clock;

  SequenceId id = 0;
  std::vector<TokenId> tokens;  // the prompt, then what was generated
  std::size_t prompt_length = 0;
  std::size_t output_length = 0;  // tokens to generate

  std::size_t computed = 0;
  std::size_t ever_computed = 0;  // the most that `computed` has been: beyond it work is new
  bool admitted_before = false;

  Clock::time_point submitted, first_token, last_token;
  XXH3_state_t outputs;  // over every logit and token generated, in order

  std::size_t generated() const { return tokens.size() - prompt_length; }
  bool complete() const { return generated() == output_length; }
};

}  // namespace sample_server
