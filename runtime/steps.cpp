#include "runtime/steps.h"

#include <algorithm>

namespace vhbm {
namespace {

// So far ahead, in uses by a thread, is looked: more than the longest step has.
constexpr std::uint64_t horizon = 1 << 15;
// How much one use counts, and after how many all count half.
constexpr std::uint64_t weight = 1 << 16, half_life = 1 << 13;

constexpr std::uint64_t multiplier = 0x9e3779b97f4a7c15;

constexpr std::uint64_t power(std::uint64_t exponent) {
  std::uint64_t result = 1;
  for (std::uint64_t i = 0; i < exponent; ++i) result *= multiplier;
  return result;
}

std::uint64_t spread(std::uint32_t region) {
  const std::uint64_t product = (region + 1ull) * 0xd6e8feb86659fd93;
  return product ^ product >> 32;
}

}  // namespace

void Steps::used(Use use) {
  std::unique_ptr<Lane>& slot = lanes_[use.lane % most_lanes];
  if (slot == nullptr) {
    slot = std::make_unique<Lane>();
    for (Likeness& likeness : slot->by_length) likeness.latest.assign(places, nowhere);
  }
  Lane& lane = *slot;
  count(use.region);
  const bool right = lane.follows != nowhere && remembers(lane, lane.follows) &&
                     at(lane, lane.follows) == use.region;
  append(lane, use.region);
  if (right) {
    ++foreseen_;
    ++lane.follows;
  } else {
    lane.follows = find_likeness(lane);
  }
  for (Likeness& likeness : lane.by_length) likeness.latest[likeness.hash % places] = lane.count;
}

void Steps::append(Lane& lane, std::uint32_t region) {
  for (std::size_t i = 0; i < likenesses.size(); ++i) {
    static constexpr std::array<std::uint64_t, 3> leaving{
        power(likenesses[0]), power(likenesses[1]), power(likenesses[2])};
    std::uint64_t& hash = lane.by_length[i].hash;
    hash = hash * multiplier + spread(region);
    const std::uint64_t length = likenesses[i];
    if (lane.count >= lane.begin + length)
      hash -= spread(at(lane, lane.count - length)) * leaving[i];
  }
  if (lane.uses.size() < remembered_) {
    lane.uses.push_back(region);
  } else {
    lane.uses[lane.count % remembered_] = region;
  }
  ++lane.count;
}

bool Steps::alike(const Lane& lane, std::uint64_t place, std::uint64_t length) const {
  if (place < length || !remembers(lane, place - length)) return false;
  for (std::uint64_t back = 1; back <= length; ++back) {
    if (at(lane, place - back) != at(lane, lane.count - back)) return false;
  }
  return true;
}

std::uint64_t Steps::find_likeness(const Lane& lane) const {
  for (std::size_t i = 0; i < likenesses.size(); ++i) {
    const Likeness& likeness = lane.by_length[i];
    const std::uint64_t place = likeness.latest[likeness.hash % places];
    if (lane.count - lane.begin > likenesses[i] && place != nowhere && place < lane.count &&
        alike(lane, place, likenesses[i])) {
      return place;
    }
  }
  return nowhere;
}

void Steps::interrupted() {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane == nullptr) continue;
    lane->follows = nowhere;
    lane->begin = lane->count;
    for (Likeness& likeness : lane->by_length) likeness.hash = 0;
  }
}

void Steps::look_ahead(std::uint64_t lead) {
  std::fill(expected_.begin(), expected_.end(), Expectation{});
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane != nullptr && lane->follows != nowhere && remembers(*lane, lane->follows)) {
      look_ahead(*lane, lead);
    }
  }
}

void Steps::look_ahead(const Lane& lane, std::uint64_t lead) {
  const std::uint64_t round = lane.count - lane.follows;
  for (std::uint64_t ahead = 1; ahead <= std::min(round, horizon); ++ahead) {
    const std::uint32_t region = at(lane, lane.follows + (lead + ahead - 1) % round);
    if (region >= expected_.size()) expected_.resize(region + 1);
    Expectation& one = expected_[region];
    // What is used once a round is used again a round later.
    if (ahead < one.next) {
      one.after = std::min(one.next, ahead + round);
      one.next = ahead;
    } else if (ahead < one.after) {
      one.after = ahead;
    }
  }
}

void Steps::count(std::uint32_t region) {
  if (region >= uses_.size()) {
    frequency_.resize(region + 1);
    uses_.resize(region + 1);
  }
  ++uses_[region];
  frequency_[region] += weight;
  if (++seen_ % half_life != 0) return;
  for (std::uint64_t& one : frequency_) one /= 2;
}

}  // namespace vhbm
