#include "policies/next_use.h"

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

// Once in place costs as much as to come.
bool used_twice_before(const Candidate& newcomer, const Candidate& victim) {
  if (!is_expected(newcomer) && !is_expected(victim)) return used_later(newcomer, victim);
  return newcomer.expected.after < victim.expected.next;
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
  sort_front(residents, situation.most_evictions, leaves_first);
  sort_front(newcomers, situation.most_promotions, comes_first);
  Plan plan = swap(situation, residents, newcomers, used_twice_before);
  return plan.empty() ? plan_spread(situation) : plan;
}

}  // namespace vhbm
