// Two queues, the longest unused resident chunks and the most recently used host-mapped ones, are
// taken from at the front for as long as a swap gains recency. A tie is left as it is, so chunks of
// one region that was named as a whole do not chase each other.
#include "policies/lru.h"

#include <algorithm>

namespace vhbm {
namespace {

using Queue = std::vector<const Candidate*>;

// The first chunks of `queue` by `before`, as many as could move.
template <typename Before>
void sort_front(Queue& queue, Bytes most, Before before) {
  if (queue.empty()) return;
  Bytes smallest = queue.front()->size;
  for (const Candidate* candidate : queue) smallest = std::min(smallest, candidate->size);
  const std::size_t count = std::min<std::size_t>(queue.size(), most.value / smallest.value);
  std::partial_sort(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count), queue.end(),
                    before);
  queue.resize(count);
}

}  // namespace

Plan plan_lru(const Situation& situation) {
  Queue residents, newcomers;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident) {
      residents.push_back(&candidate);
    } else if (candidate.last_use != 0) {
      newcomers.push_back(&candidate);
    }
  }
  sort_front(residents, situation.most_evictions, [](const Candidate* a, const Candidate* b) {
    return a->last_use != b->last_use ? a->last_use < b->last_use : a->chunk < b->chunk;
  });
  sort_front(newcomers, situation.most_promotions, [](const Candidate* a, const Candidate* b) {
    return a->last_use != b->last_use ? a->last_use > b->last_use : a->chunk < b->chunk;
  });

  Plan plan;
  Bytes promoted, evicted, room = situation.free_hbm;
  auto victim = residents.begin();
  const auto evict_next = [&] {
    evicted += (*victim)->size;
    room += (*victim)->size;
    plan.evict.push_back((*victim++)->chunk);
  };
  const auto may_evict = [&] {
    return victim != residents.end() && evicted + (*victim)->size <= situation.most_evictions;
  };
  // What has to leave makes no room for others.
  while (evicted < situation.must_leave && may_evict()) evict_next();
  room = situation.free_hbm;

  for (const Candidate* newcomer : newcomers) {
    if (promoted + newcomer->size > situation.most_promotions) break;
    while (room < newcomer->size && may_evict() && (*victim)->last_use < newcomer->last_use) {
      evict_next();
    }
    if (room < newcomer->size) break;
    room -= newcomer->size;
    promoted += newcomer->size;
    plan.promote.push_back(newcomer->chunk);
  }
  return plan;
}

}  // namespace vhbm
