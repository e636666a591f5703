#include "policies/frequency.h"

#include "policies/swap.h"

namespace vhbm {
namespace {

bool leaves_first(const Candidate* a, const Candidate* b) {
  if (a->frequency != b->frequency) return a->frequency < b->frequency;
  return a->last_use != b->last_use ? a->last_use < b->last_use : worth_less(*a, *b);
}

bool comes_first(const Candidate* a, const Candidate* b) {
  if (a->frequency != b->frequency) return a->frequency > b->frequency;
  return a->last_use != b->last_use ? a->last_use > b->last_use : a->chunk < b->chunk;
}

// Frequencies that are nearly the same pass each other all the time.
bool used_twice_as_often(const Candidate& newcomer, const Candidate& victim) {
  return newcomer.frequency / 2 > victim.frequency;
}

}  // namespace

Plan plan_frequency(const Situation& situation) {
  Queue residents, newcomers;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident) {
      if (!candidate.held) residents.push_back(&candidate);
    } else if (candidate.last_use != 0) {
      newcomers.push_back(&candidate);
    }
  }
  sort_front(residents, situation.most_evictions, leaves_first);
  sort_front(newcomers, situation.most_promotions, comes_first);
  return swap(situation, residents, newcomers, used_twice_as_often);
}

}  // namespace vhbm
