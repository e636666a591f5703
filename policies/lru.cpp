// The longest unused resident chunks against the most recently used host-mapped ones. A tie is left
// as it is, so chunks of one region that was named as a whole do not chase each other.
#include "policies/lru.h"

#include "policies/swap.h"

namespace vhbm {
Plan plan_lru(const Situation& situation) {
  Queue residents;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident && !candidate.held) residents.push_back(&candidate);
  }
  sort_front(residents, situation.most_evictions, [](const Candidate* a, const Candidate* b) {
    if (a->last_use != b->last_use) return a->last_use < b->last_use;
    return worth_less(*a, *b);
  });
  return swap(situation, residents, newest_first(situation));
}

}  // namespace vhbm
