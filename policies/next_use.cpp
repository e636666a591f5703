#include "policies/next_use.h"

#include <algorithm>
#include <numeric>

#include "policies/spread.h"
#include "policies/swap.h"

namespace vhbm {
namespace {

bool is_expected(const Candidate& candidate) {
  return candidate.expected.next != Expectation::never;
}

bool leaves_first(const Candidate* a, const Candidate* b) {
  if (a->expected.next != b->expected.next) return a->expected.next > b->expected.next;
  return a->last_use != b->last_use ? a->last_use < b->last_use : worth_less(*a, *b);
}

bool comes_first(const Candidate* a, const Candidate* b) {
  if (a->expected.after != b->expected.after) return a->expected.after < b->expected.after;
  if (a->expected.next != b->expected.next) return a->expected.next < b->expected.next;
  return a->last_use != b->last_use ? a->last_use > b->last_use : a->chunk < b->chunk;
}

// Used in part, it may be read in place for less than it takes to come.
bool is_read_whole(const Candidate& candidate) {
  return candidate.tag != Tag::kv;
}

// Once in place costs as much as to come.
bool used_twice_before(const Candidate& newcomer, const Candidate& victim) {
  if (!is_expected(newcomer) && !is_expected(victim)) return used_later(newcomer, victim);
  return newcomer.expected.after < victim.expected.next;
}

// Where a program goes on to other weights, these come all at once: reading them in place makes it
// wait for the link as well, and again each time. Nothing where that is no more than a flip.
Plan plan_at_once(Situation situation, Queue residents, Queue newcomers) {
  const Bytes flip = situation.most_promotions;
  if (situation.most_at_once <= flip || flip.value == 0 || residents.empty()) return {};
  // Mostly nothing is about to come, which one look tells.
  const Candidate& last = **std::min_element(residents.begin(), residents.end(), leaves_first);
  std::erase_if(newcomers, [&](const Candidate* one) {
    return !is_read_whole(*one) || !is_of_this_cycle(*one) || !used_twice_before(*one, last);
  });
  const auto size_of = [&](std::size_t count) {
    return std::accumulate(newcomers.begin(),
                           newcomers.begin() + static_cast<std::ptrdiff_t>(count), Bytes{},
                           [](Bytes sum, const Candidate* one) { return sum + one->size; });
  };
  if (size_of(newcomers.size()) <= flip) return {};
  situation.most_promotions = situation.most_at_once;
  situation.most_evictions = situation.must_leave + situation.most_at_once;
  sort_front(residents, situation.most_evictions, leaves_first);
  sort_front(newcomers, situation.most_promotions, comes_first);
  Plan plan = swap(situation, residents, newcomers, used_twice_before);
  plan.at_once = size_of(plan.promote.size()) > flip;
  return plan.at_once ? plan : Plan{};
}

}  // namespace

Plan plan_next_use(const Situation& situation) {
  Queue residents, newcomers;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident) {
      if (!candidate.held) residents.push_back(&candidate);
    } else if (is_expected(candidate) || candidate.last_use != 0) {
      newcomers.push_back(&candidate);
    }
  }
  if (Plan plan = plan_at_once(situation, residents, newcomers); !plan.empty()) return plan;
  sort_front(residents, situation.most_evictions, leaves_first);
  sort_front(newcomers, situation.most_promotions, comes_first);
  Plan plan = swap(situation, residents, newcomers, used_twice_before);
  return plan.empty() ? plan_spread(situation) : plan;
}

}  // namespace vhbm
