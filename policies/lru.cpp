// The longest unused resident chunks against the most recently used host-mapped ones. A tie is left
// as it is, so chunks of one region that was named as a whole do not chase each other.
#include "policies/lru.h"

#include "policies/swap.h"

namespace vhbm {
namespace {

// Of chunks that were used last at the same time: who leaves first. A workspace is written again
// soonest, weights come back without ever having been copied out.
int keeps_longer(Tag tag) {
  switch (tag) {
    case Tag::weights:
      return 0;
    case Tag::other:
      return 1;
    case Tag::kv:
      return 2;
    case Tag::workspace:
      return 3;
  }
  return 1;
}

}  // namespace

Plan plan_lru(const Situation& situation) {
  Queue residents;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident && !candidate.held) residents.push_back(&candidate);
  }
  sort_front(residents, situation.most_evictions, [](const Candidate* a, const Candidate* b) {
    if (a->last_use != b->last_use) return a->last_use < b->last_use;
    if (a->tag != b->tag) return keeps_longer(a->tag) < keeps_longer(b->tag);
    return a->chunk < b->chunk;
  });
  return swap(situation, residents, newest_first(situation));
}

}  // namespace vhbm
