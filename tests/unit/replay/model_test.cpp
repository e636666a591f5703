// Policies played over synthetic workloads, beside Belady's bound.
#include "replay/model.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "replay/bound.h"
#include "workloads.h"

namespace vhbm::replay {
namespace {

constexpr Bytes hbm = gib(4);
constexpr std::uint32_t layers = 48;

Conditions under(const char* policy, Bytes limit = hbm) {
  Conditions made;
  made.policy = find_policy(policy);
  made.bounds = {limit, gib(256), {}};
  made.rates = {3200e9, 50e9, 50e9};
  return made;
}

// Every move at once, at any price: what a policy does where nothing holds it back.
Conditions unbounded(const char* policy) {
  Conditions made = under(policy);
  made.options.stall_limit = Percent{100};
  made.options.flip_size = Size::percent(100);
  made.options.pager_interval = Milliseconds(1);
  made.options.quiesce_deadline = Milliseconds(1000);
  made.options.thrash_guard = false;
  return made;
}

double of_belady(const Played& played, const Least& least) {
  return static_cast<double>(played.misses) / static_cast<double>(least.misses);
}

// Weights of `factor` times HBM, read in a cycle.
Workload weights(double factor, int passes) {
  const auto chunks = static_cast<std::uint32_t>(factor * static_cast<double>(hbm.value) / layers /
                                                 static_cast<double>(mib(2).value));
  return cycle(layers, chunks, passes);
}

class CyclicWeights : public ::testing::TestWithParam<double> {};

TEST_P(CyclicWeights, NextUseMissesHardlyMoreThanBeladyAndLruNearlyAll) {
  const Workload workload = weights(GetParam(), 120);
  const Least least = belady(workload, hbm), on_demand = lru_on_demand(workload, hbm);
  const std::uint64_t all = play(workload, under("lru")).chunk_uses;
  std::printf("weights of %g x HBM: Belady misses %llu of %llu chunks; lru on demand %llu\n",
              GetParam(), static_cast<unsigned long long>(least.misses),
              static_cast<unsigned long long>(all),
              static_cast<unsigned long long>(on_demand.misses));
  for (const char* policy : {"next_use", "lru"}) {
    const Played bounded = play(workload, under(policy));
    const Workload shorter = weights(GetParam(), 15);
    const Least least_of_shorter = belady(shorter, hbm);
    const Played free = play(shorter, unbounded(policy));
    std::printf("  %-8s %llu misses, %.3f x Belady; where nothing holds it back %llu, %.3f x\n",
                policy, static_cast<unsigned long long>(bounded.misses), of_belady(bounded, least),
                static_cast<unsigned long long>(free.misses), of_belady(free, least_of_shorter));
    if (std::string(policy) == "next_use") {
      EXPECT_LE(of_belady(bounded, least), 1.05);
    } else {
      EXPECT_GE(bounded.misses, play(workload, under("next_use")).misses);
      EXPECT_GE(static_cast<double>(free.misses), 0.95 * static_cast<double>(free.chunk_uses));
    }
  }
  EXPECT_GE(static_cast<double>(on_demand.misses), 0.99 * static_cast<double>(all));
}

INSTANTIATE_TEST_SUITE_P(Sizes, CyclicWeights, ::testing::Values(1.5, 3.0));

TEST(Model, GivesTheSameAnswerTwice) {
  const Workload workload = weights(1.5, 20);
  for (const Policy& policy : policies()) {
    EXPECT_EQ(play(workload, under(policy.name)), play(workload, under(policy.name)))
        << policy.name;
  }
}

TEST(Model, MissesNothingWhereAllFits) {
  const Workload workload = weights(0.5, 20);
  for (const Policy& policy : policies()) {
    const Played played = play(workload, under(policy.name));
    EXPECT_EQ(played.misses, 0u) << policy.name;
    EXPECT_EQ(played.flips, 0u) << policy.name;
    EXPECT_EQ(played.time, played.hbm_time) << policy.name;
  }
}

// No policy does better than what is the best there can be.
TEST(Model, IsNeverBelowTheBound) {
  Workload workload = with_regions({200, 300, 100, 500, 50, 400});
  unsigned next = 1;
  for (int i = 0; i < 3000; ++i) {
    next = next * 1103515245 + 12345;
    workload.use(next / 65536 % 6);
  }
  for (const Bytes limit : {gib(1), mib(1536), gib(2)}) {
    const Least least = belady(workload, room_in({limit, {}, {}}, mib(2)));
    for (const Policy& policy : policies()) {
      const Played played = play(workload, under(policy.name, limit));
      EXPECT_GE(played.misses, least.misses) << policy.name;
      EXPECT_EQ(played.in_place + played.moved_in, mib(2) * played.misses) << policy.name;
      EXPECT_EQ(played.hits + played.in_place.value / mib(2).value, played.chunk_uses);
    }
  }
}

TEST(Model, KeepsToStallLimit) {
  const Workload workload = weights(1.5, 100);
  Conditions bounded = under("lru");
  bounded.options.thrash_guard = false;
  for (const std::uint64_t percent : {5u, 20u}) {
    bounded.options.stall_limit = Percent{percent};
    const Played played = play(workload, bounded);
    EXPECT_GT(played.flips, 0u);
    EXPECT_LE(static_cast<double>(played.stall.count()),
              static_cast<double>(percent) / 100 * 1.05 * static_cast<double>(played.time.count()));
  }
}

TEST(Model, TheThrashGuardHoldsBackWhatDoesNotPay) {
  const Workload workload = weights(3, 15);
  Conditions boundless = unbounded("lru");
  const Played unguarded = play(workload, boundless);
  boundless.options.thrash_guard = true;
  const Played guarded = play(workload, boundless);
  EXPECT_GT(guarded.guard_verdicts, 0u);
  EXPECT_LT(guarded.misses, unguarded.misses);
  EXPECT_LT(guarded.time, unguarded.time);
}

// A phase that is repeated comes to HBM, and what comes crosses the link as what is read in place
// does.
TEST(Model, APhaseThatIsRepeatedComesToHbm) {
  Workload workload = with_regions(std::vector<std::uint32_t>(32, 64));  // two phases of 2 GiB
  for (int round = 0; round < 4; ++round) {
    for (std::uint32_t phase = 0; phase < 2; ++phase) {
      for (int pass = 0; pass < 400; ++pass) {
        for (std::uint32_t layer = 0; layer < 16; ++layer) workload.use(phase * 16 + layer);
      }
    }
  }
  const Played played = play(workload, under("next_use", gib(3)));
  EXPECT_GT(played.moved_in, gib(1));
  EXPECT_GT(played.hits * 10, played.chunk_uses * 8);
}

}  // namespace
}  // namespace vhbm::replay
