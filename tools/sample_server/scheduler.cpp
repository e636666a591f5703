#include "scheduler.h"

#include <algorithm>

namespace sample_server {

std::vector<StepPart> Scheduler::next_step() {
  std::vector<StepPart> step;
  std::size_t budget = limits_.step_tokens;
  bool preempted = false;

  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& sequence = *running_[i];
    const std::size_t count = std::min(budget, sequence.tokens.size() - sequence.computed);
    while (i < running_.size() &&
           !kv_.grow(sequence.id, sequence.tokens, sequence.computed + count)) {
      preempt_last();
      preempted = true;
    }
    if (i >= running_.size()) break;  // it was the last one itself
    schedule(sequence, count, step);
    budget -= count;
  }

  // What was just preempted would come back at once, and push out the next.
  while (!preempted && budget > 0 && !waiting_.empty() && running_.size() < limits_.running) {
    Sequence& sequence = *waiting_.front();
    const std::size_t cached = kv_.cached_prefix(sequence.tokens);
    const std::size_t count = std::min(budget, sequence.tokens.size() - cached);
    if (!kv_.admit(sequence.id, sequence.tokens, cached, cached + count)) break;
    waiting_.pop_front();
    running_.push_back(&sequence);
    sequence.computed = cached;
    if (!sequence.admitted_before) {
      sequence.admitted_before = true;
      counts_.prompt_tokens += sequence.prompt_length;
      counts_.prefix_hit_tokens += cached;
    }
    schedule(sequence, count, step);
    budget -= count;
  }
  if (!step.empty()) ++counts_.steps;
  return step;
}

void Scheduler::schedule(Sequence& sequence, std::size_t count, std::vector<StepPart>& step) {
  step.push_back({&sequence, sequence.computed, count});
  const std::size_t end = sequence.computed + count;
  counts_.computed_tokens += count;
  counts_.recomputed_tokens +=
      std::min(end, std::max(sequence.ever_computed, sequence.computed)) - sequence.computed;
  sequence.computed = end;
  sequence.ever_computed = std::max(sequence.ever_computed, end);
}

void Scheduler::preempt_last() {
  Sequence& sequence = *running_.back();
  running_.pop_back();
  kv_.release(sequence.id);
  sequence.computed = 0;
  waiting_.push_front(&sequence);
  ++counts_.preemptions;
}

void Scheduler::finish(Sequence& sequence) {
  kv_.release(sequence.id);
  std::erase(running_, &sequence);
}

}  // namespace sample_server
