#include "policies/spread.h"

#include <algorithm>
#include <map>
#include <vector>

#include "policies/swap.h"

namespace vhbm {
namespace {

// Of a region's bytes, how much more than in another may be in HBM.
constexpr double even_enough = 0.1;

struct Part {
  Bytes resident, all;
  std::uint64_t frequency = 0;
  std::vector<const Candidate*> may_leave, may_come;

  [[nodiscard]] double share() const {
    return static_cast<double>(resident.value) / static_cast<double>(all.value);
  }
  [[nodiscard]] double share_without(Bytes bytes) const {
    return static_cast<double>(resident.value - bytes.value) / static_cast<double>(all.value);
  }
};

// What is used more often is better kept whole.
bool used_more(const Part& one, const Part& other) {
  return one.frequency / 5 > other.frequency / 4;
}

bool streamed(const Candidate& candidate) {
  return candidate.tag == Tag::weights && is_of_this_cycle(candidate);
}

}  // namespace

Plan plan_spread(const Situation& situation) {
  std::map<std::uint32_t, Part> parts;
  for (const Candidate& candidate : situation.candidates) {
    if (!streamed(candidate)) continue;
    Part& part = parts[candidate.region];
    part.all += candidate.size;
    part.frequency = candidate.frequency;
    if (candidate.resident) part.resident += candidate.size;
    if (candidate.resident && !candidate.held) part.may_leave.push_back(&candidate);
    if (!candidate.resident) part.may_come.push_back(&candidate);
  }
  Plan plan;
  plan.memory = situation.memory;
  Bytes promoted, evicted;
  while (parts.size() > 1) {
    Part& to = std::min_element(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
                 return a.second.share() < b.second.share();
               })->second;
    Part& from = std::max_element(parts.begin(), parts.end(), [&](const auto& a, const auto& b) {
                   const bool a_stays = used_more(a.second, to), b_stays = used_more(b.second, to);
                   return a_stays != b_stays ? a_stays : a.second.share() < b.second.share();
                 })->second;
    if (from.may_leave.empty() || to.may_come.empty()) break;
    const Candidate &leaves = *from.may_leave.back(), &comes = *to.may_come.front();
    // It must not be the other way round afterwards.
    if (from.share_without(leaves.size) - to.share() < even_enough) break;
    promoted += comes.size;
    evicted += leaves.size;
    if (promoted > situation.most_promotions || evicted > situation.most_evictions ||
        promoted > evicted + situation.free_hbm) {
      break;
    }
    plan.evict.push_back(leaves.chunk);
    plan.promote.push_back(comes.chunk);
    from.resident = saturating_minus(from.resident, leaves.size);
    to.resident += comes.size;
    from.may_leave.pop_back();
    to.may_come.erase(to.may_come.begin());
  }
  return plan;
}

}  // namespace vhbm
