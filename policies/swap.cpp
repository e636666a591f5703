#include "policies/swap.h"

namespace vhbm {
namespace {

// A workspace is written again soonest, weights come back without ever having been copied out.
int worth(Tag tag) {
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

bool worth_less(const Candidate& a, const Candidate& b) {
  return a.tag != b.tag ? worth(a.tag) < worth(b.tag) : a.chunk < b.chunk;
}

Queue newest_first(const Situation& situation) {
  Queue newcomers;
  for (const Candidate& candidate : situation.candidates) {
    if (!candidate.resident && candidate.last_use != 0) newcomers.push_back(&candidate);
  }
  sort_front(newcomers, situation.most_promotions, [](const Candidate* a, const Candidate* b) {
    return a->last_use != b->last_use ? a->last_use > b->last_use : a->chunk < b->chunk;
  });
  return newcomers;
}

Plan swap(const Situation& situation, const Queue& victims, const Queue& newcomers, Gain gains) {
  Plan plan;
  Bytes promoted, evicted, room = situation.free_hbm;
  auto victim = victims.begin();
  const auto evict_next = [&] {
    evicted += (*victim)->size;
    room += (*victim)->size;
    plan.evict.push_back((*victim++)->chunk);
  };
  const auto may_evict = [&] {
    return victim != victims.end() && evicted + (*victim)->size <= situation.most_evictions;
  };
  // What has to leave makes no room for others.
  while (evicted < situation.must_leave && may_evict()) evict_next();
  room = situation.free_hbm;

  for (const Candidate* newcomer : newcomers) {
    if (promoted + newcomer->size > situation.most_promotions) break;
    while (room < newcomer->size && may_evict() && gains(*newcomer, **victim)) {
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
