// The hand is an address, since chunks come and go between two plans. Instead of a bit a chunk, the
// time at which the sweep began tells who was used since.
#include "policies/clock.h"

#include "policies/swap.h"

namespace vhbm {

Plan plan_clock(const Situation& situation) {
  const PolicyMemory& memory = situation.memory;
  Queue residents;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident && !candidate.held) residents.push_back(&candidate);
  }
  // In the order in which the hand meets them.
  std::sort(residents.begin(), residents.end(), [&](const Candidate* a, const Candidate* b) {
    const bool a_behind = a->chunk < memory.hand, b_behind = b->chunk < memory.hand;
    return a_behind != b_behind ? b_behind : a->chunk < b->chunk;
  });
  // Those that were used get their second chance: only what has to leave takes them.
  const std::uint64_t sweep = std::max<std::uint64_t>(memory.sweep, 1);
  std::stable_partition(residents.begin(), residents.end(),
                        [&](const Candidate* resident) { return resident->last_use < sweep; });
  const auto unused = static_cast<std::size_t>(
      std::count_if(residents.begin(), residents.end(),
                    [&](const Candidate* resident) { return resident->last_use < sweep; }));
  Queue victims = residents;
  if (situation.must_leave.value == 0) victims.resize(unused);

  Plan plan = swap(situation, victims, newest_first(situation));
  plan.memory = memory;
  if (!plan.evict.empty()) plan.memory.hand = {plan.evict.back().value + 1};
  // Around once, or nobody left to take: what was used before now may go from now on.
  if (plan.evict.size() >= unused || plan.memory.hand < memory.hand) {
    plan.memory.sweep = situation.now;
  }
  return plan;
}

}  // namespace vhbm
