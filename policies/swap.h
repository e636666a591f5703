// What the policies have in common: given who may leave HBM and who should come, each in order,
// take from the front of both for as long as a swap gains something and the bounds allow.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/residency.h"

namespace vhbm {

using Queue = std::vector<const Candidate*>;

// Of two chunks that are used alike: which one leaves first.
[[nodiscard]] bool worth_less(const Candidate& a, const Candidate& b);

// Expected within one of its rounds from now: what comes later is of another phase.
[[nodiscard]] inline bool is_of_this_cycle(const Candidate& candidate) {
  const Expectation& expected = candidate.expected;
  return expected.next != Expectation::never && expected.next <= expected.after - expected.next;
}

// Host-mapped chunks that were used at all, the latest first: as many as could move.
[[nodiscard]] Queue newest_first(const Situation& situation);

// Whether HBM is better used by the newcomer than by the victim.
using Gain = bool (*)(const Candidate& newcomer, const Candidate& victim);
[[nodiscard]] inline bool used_later(const Candidate& newcomer, const Candidate& victim) {
  return newcomer.last_use > victim.last_use;
}

// Victims leave in their order: first those that have to, then one by one for newcomers that gain
// by it. Held chunks are not to be among them.
[[nodiscard]] Plan swap(const Situation& situation, const Queue& victims, const Queue& newcomers,
                        Gain gains = used_later);

// Sorts by `before` and keeps the front: no more than `most` can move in one plan.
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

}  // namespace vhbm
