// A region's chunks are used together, so they are alike to both: each region is kept as the number
// of its chunks that are in HBM.
#include "replay/bound.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

namespace vhbm::replay {
namespace {

constexpr std::uint64_t never = UINT64_MAX;

// What is in HBM, ordered by a rank of each life: the highest makes way first.
class Cache {
 public:
  Cache(const Workload& workload, Bytes room)
      : room_(room.value / workload.chunk_size.value),
        kept_(workload.lives.size()),
        rank_(workload.lives.size(), never) {}

  [[nodiscard]] std::uint64_t kept(std::uint32_t life) const { return kept_[life]; }

  // The life has this rank from now on, and up to `most` of its chunks come: into what is free, and
  // for chunks of others that rank higher. So many could not.
  std::uint64_t bring(std::uint32_t life, std::uint64_t rank, std::uint64_t most) {
    order_.erase({rank_[life], life});
    rank_[life] = rank;
    std::uint64_t wanted = most - std::min(most, kept_[life]);
    const std::uint64_t free = std::min(wanted, room_ - used_);
    change(life, free);
    for (wanted -= free; wanted != 0 && !order_.empty();) {
      const auto last = std::prev(order_.end());
      if (last->first <= rank) break;
      const std::uint32_t other = last->second;
      const std::uint64_t gives = std::min(wanted, kept_[other]);
      if (gives == kept_[other]) order_.erase(last);
      change(other, std::uint64_t{} - gives);
      change(life, gives);
      wanted -= gives;
    }
    if (kept_[life] != 0) order_.insert({rank, life});
    return wanted;
  }
  void forget(std::uint32_t life) {
    order_.erase({rank_[life], life});
    change(life, std::uint64_t{} - kept_[life]);
  }

 private:
  void change(std::uint32_t life, std::uint64_t by) {
    kept_[life] += by;
    used_ += by;
  }

  const std::uint64_t room_;
  std::uint64_t used_ = 0;
  std::vector<std::uint64_t> kept_, rank_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> order_;  // of those that have chunks there
};

// For each event that is a use or a birth: when that life is used next, as an event's number.
std::vector<std::uint64_t> next_uses(const Workload& workload) {
  std::vector<std::uint64_t> next(workload.events.size(), never);
  std::vector<std::uint64_t> upcoming(workload.lives.size(), never);
  for (std::size_t i = workload.events.size(); i-- != 0;) {
    const Event& event = workload.events[i];
    if (event.kind != Event::Kind::use && event.kind != Event::Kind::born) continue;
    next[i] = upcoming[event.what];
    if (event.kind == Event::Kind::use) upcoming[event.what] = i;
  }
  return next;
}

// `use` says how many of a life's chunks are missed when it is used, or comes to be, at an event.
template <typename Use>
Least play(const Workload& workload, Cache& cache, Use&& use) {
  Least least;
  std::vector<bool> outside;
  for (const Life& life : workload.lives) outside.push_back(life.whole);
  for (std::size_t i = 0; i < workload.events.size(); ++i) {
    const Event& event = workload.events[i];
    switch (event.kind) {
      case Event::Kind::use:
      case Event::Kind::born: {
        if (outside[event.what]) break;
        const std::uint64_t missed = use(event.what, i);
        if (event.kind == Event::Kind::born) break;
        least.misses += missed;
        least.over_link += workload.lives[event.what].chunk_size * missed;
        break;
      }
      case Event::Kind::gone:
        cache.forget(event.what);
        break;
      case Event::Kind::change: {
        const Change& change = workload.changes[event.what];
        if (!change.whole || outside[change.life]) break;
        outside[change.life] = true;
        cache.forget(change.life);
        break;
      }
      case Event::Kind::bound:
      case Event::Kind::lost:
        break;
    }
  }
  return least;
}

}  // namespace

Least belady(const Workload& workload, Bytes room) {
  const std::vector<std::uint64_t> next = next_uses(workload);
  Cache cache(workload, room);
  return play(workload, cache, [&](std::uint32_t life, std::size_t event) {
    const std::uint64_t chunks = workload.lives[life].chunks, missed = chunks - cache.kept(life);
    if (next[event] == never) {
      cache.forget(life);
    } else {
      (void)cache.bring(life, next[event], chunks);
    }
    return missed;
  });
}

Least lru_on_demand(const Workload& workload, Bytes room) {
  Cache cache(workload, room);
  std::vector<std::uint64_t> used(workload.lives.size(), never);
  return play(workload, cache, [&](std::uint32_t life, std::size_t event) {
    const std::uint64_t chunks = workload.lives[life].chunks, kept = cache.kept(life);
    // The later it was used, the lower its rank. As it is read from its first chunk on, its own
    // chunks are the next to make way once nothing older is left: then each is gone when it is
    // reached.
    const std::uint64_t short_of = cache.bring(life, used[life], chunks);
    used[life] = never - 1 - event;
    (void)cache.bring(life, used[life], chunks);
    return short_of == 0 ? chunks - kept : chunks;
  });
}

}  // namespace vhbm::replay
