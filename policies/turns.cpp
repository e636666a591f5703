#include "policies/turns.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace vhbm {
namespace {

using Indices = std::vector<std::size_t>;

// Others wait no longer than that for what changing costs, unless the quantum says so.
constexpr std::chrono::seconds longest_for_changes{20};

std::chrono::nanoseconds turn_of(const Contest& contest, const Indices& active) {
  std::chrono::nanoseconds change{0};
  for (const std::size_t i : active) change = std::max(change, contest.claims[i].change);
  const auto percent = static_cast<std::int64_t>(std::max<std::uint64_t>(contest.most_lost, 1));
  const auto within =
      std::min<std::chrono::nanoseconds>(change * 100 / percent, longest_for_changes);
  return std::max(contest.quantum, within);
}

class Sharing {
 public:
  explicit Sharing(const Contest& contest)
      : claims_(contest.claims), contest_(contest), room_(contest.room), shares_(claims_.size()) {
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& claim = claims_[i];
      shares_[i].grant = claim.responds ? claim.floor : claim.holds;
      room_ = saturating_minus(room_, shares_[i].grant);
      if (claim.responds) (claim.active ? active_ : idle_).push_back(i);
    }
    const auto served_less = [&](std::size_t a, std::size_t b) {
      return std::pair(claims_[a].served, claims_[a].id) <
             std::pair(claims_[b].served, claims_[b].id);
    };
    std::sort(active_.begin(), active_.end(), served_less);
    std::sort(idle_.begin(), idle_.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(claims_[b].active_at, claims_[a].id) <
             std::pair(claims_[a].active_at, claims_[b].id);
    });
  }

  std::vector<Share> result() {
    if (missing(active_) > room_) {
      take_turns();
    } else {
      for (const std::size_t i : active_) give(i);
    }
    for (const std::size_t i : active_) give(i);
    for (const std::size_t i : idle_) give(i);
    return std::move(shares_);
  }

 private:
  [[nodiscard]] Bytes missing(std::size_t i) const {
    return saturating_minus(claims_[i].wants, shares_[i].grant);
  }
  [[nodiscard]] Bytes missing(const Indices& indices) const {
    return std::accumulate(indices.begin(), indices.end(), Bytes{},
                           [&](Bytes sum, std::size_t i) { return sum + missing(i); });
  }
  void give(std::size_t i) {
    const Bytes given = std::min(missing(i), room_);
    shares_[i].grant += given;
    room_ = saturating_minus(room_, given);
  }

  void take_turns() {
    turn_ = turn_of(contest_, active_);
    const std::size_t first = whose_turn();
    shares_[first].has_turn = true;
    shares_[first].turn = turn_;
    give(first);
    for (const std::size_t i : active_) {
      if (i == first) continue;
      shares_[i].runs = missing(i) <= room_;
      if (shares_[i].runs) give(i);
    }
  }

  [[nodiscard]] std::size_t whose_turn() const {
    const std::size_t next = active_.front();
    const auto current = holder();
    // What they were served until now was nobody's loss.
    if (!current) return sooner_than(next, std::chrono::nanoseconds::min());
    const Claim& has = claims_[*current];
    if (contest_.now - has.turn_since >= turn_) return next;
    return sooner_than(*current, has.turn_since);
  }

  // One of class `latency` that has come to have work since then, before one of class `batch`.
  [[nodiscard]] std::size_t sooner_than(std::size_t one, std::chrono::nanoseconds since) const {
    if (claims_[one].gpu_class == GpuClass::latency) return one;
    const auto sooner = std::find_if(active_.begin(), active_.end(), [&](std::size_t i) {
      return claims_[i].gpu_class == GpuClass::latency && claims_[i].active_since > since &&
             claims_[i].served <= claims_[one].served + contest_.quantum;
    });
    return sooner == active_.end() ? one : *sooner;
  }

  // For a moment two may take themselves for it.
  [[nodiscard]] std::optional<std::size_t> holder() const {
    std::optional<std::size_t> found;
    for (const std::size_t i : active_) {
      if (claims_[i].turn_since.count() == 0) continue;
      if (!found || std::pair(claims_[i].turn_since, claims_[i].id) <
                        std::pair(claims_[*found].turn_since, claims_[*found].id)) {
        found = i;
      }
    }
    return found;
  }

  const std::span<const Claim> claims_;
  const Contest& contest_;
  Bytes room_;
  std::vector<Share> shares_;
  Indices active_;  // who was served least first
  Indices idle_;    // who had work last first
  std::chrono::nanoseconds turn_{0};
};

}  // namespace

std::vector<Share> share_out(const Contest& contest) {
  return Sharing(contest).result();
}

}  // namespace vhbm
