// Decides what each step computes, by vLLM's rules: running sequences first, in the order they were
// admitted, each with as many tokens as the step's budget leaves (so prompts are cut into chunks);
// then waiting ones, first come first served. Out of blocks, the sequence admitted last is
// preempted: its blocks are freed and it is computed again later.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "kv_manager.h"
#include "sequence.h"

namespace sample_server {

struct SchedulerLimits {
  std::size_t running;      // sequences at once
  std::size_t step_tokens;  // tokens computed in one step
};

struct SchedulerCounts {
  std::size_t prompt_tokens = 0;      // of sequences admitted for the first time
  std::size_t prefix_hit_tokens = 0;  // of these, found in the cache
  std::size_t computed_tokens = 0;
  std::size_t recomputed_tokens = 0;  // of these, computed before and lost by preemption
  std::size_t preemptions = 0;
  std::size_t steps = 0;
};

// Tokens [first, first + count) of a sequence.
struct StepPart {
  Sequence* sequence;
  std::size_t first;
  std::size_t count;
  bool yields_token() const { return first + count == sequence->tokens.size(); }
};

class Scheduler {
 public:
  Scheduler(KvManager& kv, SchedulerLimits limits) : kv_(kv), limits_(limits) {}

  // Appends to the waiting queue; the sequence must outlive its completion, and fit the KV manager
  // when alone.
  void submit(Sequence& sequence) { waiting_.push_back(&sequence); }
  std::size_t in_flight() const { return waiting_.size() + running_.size(); }

  // What to compute next; the counts and `computed` are as if it were done. Empty when nothing is
  // in flight. Sequences that yield a token must get it appended before the next call.
  std::vector<StepPart> next_step();

  // Lets go of a running sequence that is complete.
  void finish(Sequence& sequence);

  const SchedulerCounts& counts() const { return counts_; }

 private:
  void schedule(Sequence& sequence, std::size_t count, std::vector<StepPart>& step);
  void preempt_last();

  KvManager& kv_;
  SchedulerLimits limits_;
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;
  SchedulerCounts counts_;
};

}  // namespace sample_server
