#include "policies/wake.h"

#include <algorithm>

namespace vhbm {

std::vector<ChunkId> wake_order(const Waking& waking) {
  std::uint64_t last = 0;
  for (const Candidate& candidate : waking.candidates) {
    if (candidate.last_use <= waking.slept_at) last = std::max(last, candidate.last_use);
  }
  const auto asked_for = [&](const Candidate* one) { return one->last_use > waking.slept_at; };
  std::vector<const Candidate*> needed;
  for (const Candidate& candidate : waking.candidates) {
    const bool in_last_step = candidate.last_use != 0 && candidate.last_use + waking.recent >= last;
    if (!candidate.resident && candidate.tag != Tag::kv && in_last_step) {
      needed.push_back(&candidate);
    }
  }
  std::sort(needed.begin(), needed.end(), [&](const Candidate* a, const Candidate* b) {
    if (asked_for(a) != asked_for(b)) return asked_for(a);
    // The next step goes as the last one did, which is told apart more finely.
    if (a->expected.next != b->expected.next) return a->expected.next < b->expected.next;
    return a->last_use != b->last_use ? a->last_use < b->last_use : a->chunk < b->chunk;
  });
  std::vector<ChunkId> order;
  order.reserve(needed.size());
  for (const Candidate* one : needed) order.push_back(one->chunk);
  return order;
}

}  // namespace vhbm
