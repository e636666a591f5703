// Belady's bound against all that could be done, and against what is known of cycles.
#include "replay/bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "workloads.h"

namespace vhbm::replay {
namespace {

// The least misses there can be: tries every content of HBM after every use.
class Exhaustive {
 public:
  Exhaustive(const Workload& workload, unsigned room) : room_(room) {
    unsigned chunks = 0;
    std::vector<unsigned> first;
    for (const Life& life : workload.lives) {
      first.push_back(chunks);
      chunks += life.chunks;
    }
    chunks_ = chunks;
    for (const Event& event : workload.events) {
      if (event.kind != Event::Kind::use) continue;
      for (unsigned i = 0; i < workload.lives[event.what].chunks; ++i) {
        uses_.push_back(first[event.what] + i);
      }
    }
  }

  std::uint64_t least() {
    std::map<unsigned, std::uint64_t> costs;  // by content, as bits
    for (unsigned content = 0; content < 1u << chunks_; ++content) {
      if (static_cast<unsigned>(__builtin_popcount(content)) <= room_) costs[content] = 0;
    }
    for (const unsigned chunk : uses_) {
      std::map<unsigned, std::uint64_t> next;
      const auto reach = [&](unsigned content, std::uint64_t cost) {
        const auto [found, is_new] = next.try_emplace(content, cost);
        if (!is_new) found->second = std::min(found->second, cost);
      };
      for (const auto& [content, cost] : costs) {
        const unsigned bit = 1u << chunk;
        if ((content & bit) != 0) {
          reach(content, cost);
          continue;
        }
        reach(content, cost + 1);  // read past HBM
        if (static_cast<unsigned>(__builtin_popcount(content)) < room_) {
          reach(content | bit, cost + 1);
        }
        for (unsigned other = 0; other < chunks_; ++other) {
          if ((content & 1u << other) != 0) reach((content & ~(1u << other)) | bit, cost + 1);
        }
      }
      costs = std::move(next);
    }
    std::uint64_t least = UINT64_MAX;
    for (const auto& [content, cost] : costs) least = std::min(least, cost);
    return least;
  }

 private:
  const unsigned room_;
  unsigned chunks_ = 0;
  std::vector<unsigned> uses_;
};

TEST(Belady, IsTheLeastThatCanBeDone) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::uint32_t> chunks;
    std::uint32_t all = 0;
    while (all < 6) {
      chunks.push_back(1 + random() % 3);
      all += chunks.back();
    }
    Workload workload = with_regions(chunks);
    for (int use = 0; use < 14; ++use) workload.use(random() % chunks.size());
    const unsigned room = 1 + random() % 5;
    EXPECT_EQ(belady(workload, mib(2) * room).misses, Exhaustive(workload, room).least())
        << "round " << round;
  }
}

// What HBM does not hold has to cross the link in every pass but the first, of which the beginning
// may be anywhere.
TEST(Belady, OfACycleIsWhatHbmDoesNotHold) {
  const Workload workload = cycle(12, 8, 100);
  const Least least = belady(workload, mib(2) * 64);  // of 96
  EXPECT_GE(least.misses, 99u * 32);
  EXPECT_LE(least.misses, 100u * 32);
  EXPECT_EQ(least.over_link, mib(2) * least.misses);
  EXPECT_EQ(belady(workload, mib(2) * 96).misses, 0u);
  EXPECT_EQ(belady(workload, mib(0)).misses, 100u * 96);
}

TEST(LruOnDemand, MissesAllOfACycleThatIsALittleTooLarge) {
  const Workload workload = cycle(12, 8, 100);
  const Least least = lru_on_demand(workload, mib(2) * 95);
  EXPECT_GE(least.misses, 99u * 96);
  EXPECT_EQ(lru_on_demand(workload, mib(2) * 96).misses, 0u);
}

// Chunk by chunk, as a list that is kept in order would do it.
TEST(LruOnDemand, IsWhatAListOfChunksGives) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Workload workload = with_regions({3, 2, 4, 1, 2});
    for (int use = 0; use < 40; ++use) workload.use(random() % 5);
    const std::size_t room = 1 + random() % 12;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> list;  // the latest last
    std::uint64_t misses = 0;
    for (const Event& event : workload.events) {
      for (std::uint32_t i = 0; i < workload.lives[event.what].chunks; ++i) {
        const std::pair chunk(event.what, i);
        const auto found = std::find(list.begin(), list.end(), chunk);
        if (found != list.end()) {
          list.erase(found);
        } else {
          misses += event.kind == Event::Kind::use ? 1 : 0;
          if (list.size() == room) list.erase(list.begin());
        }
        list.push_back(chunk);
      }
    }
    EXPECT_EQ(lru_on_demand(workload, mib(2) * room).misses, misses)
        << "round " << round << ", room " << room;
  }
}

TEST(Belady, CountsNothingOfRegionsThatAreGoneOrInOnePiece) {
  Workload workload = with_regions({4, 4});
  workload.use(0);
  workload.changes.push_back({1, Tag::other, false, true});
  workload.events.push_back({Event::Kind::change, 0, 0});
  workload.use(1);
  workload.events.push_back({Event::Kind::gone, 0, 0});
  EXPECT_EQ(belady(workload, mib(0)).misses, 4u);
  EXPECT_EQ(workload.peak(), mib(16));
}

}  // namespace
}  // namespace vhbm::replay
