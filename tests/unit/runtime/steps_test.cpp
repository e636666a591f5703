// What comes next, foreseen from what came before.
#include "runtime/steps.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace vhbm {
namespace {

using Sequence = std::vector<std::uint32_t>;

void use(Steps& steps, const Sequence& regions, std::uint8_t lane = 1) {
  for (const std::uint32_t region : regions) steps.used({region, lane});
}

// How many of these were foreseen.
std::uint64_t foreseen_of(Steps& steps, const Sequence& regions) {
  const std::uint64_t before = steps.foreseen();
  use(steps, regions);
  return steps.foreseen() - before;
}

Sequence times(int count, const Sequence& what) {
  Sequence all;
  for (int i = 0; i < count; ++i) all.insert(all.end(), what.begin(), what.end());
  return all;
}

Sequence joined(std::initializer_list<Sequence> parts) {
  Sequence all;
  for (const Sequence& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Sequence range(std::uint32_t first, std::uint32_t count) {
  Sequence all;
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(first + i);
  return all;
}

TEST(Steps, ExpectsNothingOfWhatItNeverSaw) {
  Steps steps;
  steps.look_ahead();
  EXPECT_EQ(steps.of(7).next, Expectation::never);
  use(steps, {1, 2, 3});
  steps.look_ahead();
  EXPECT_EQ(steps.of(1).next, Expectation::never);
  EXPECT_EQ(steps.foreseen(), 0u);
  EXPECT_EQ(steps.seen(), 3u);
}

TEST(Steps, ForeseesACycleFromItsSecondRoundOn) {
  Steps steps;
  use(steps, range(1, 50));
  EXPECT_EQ(foreseen_of(steps, range(1, 50)), 49u);  // all but the first
  EXPECT_EQ(foreseen_of(steps, range(1, 20)), 20u);
  steps.look_ahead();
  EXPECT_EQ(steps.of(21).next, 1u);
  EXPECT_EQ(steps.of(50).next, 30u);
  EXPECT_EQ(steps.of(20).next, 50u);
  EXPECT_EQ(steps.of(20).after, 100u);
}

TEST(Steps, TellsTheTimeAfterNext) {
  Steps steps;
  use(steps, times(3, {1, 2, 9, 3, 9}));
  steps.look_ahead();
  EXPECT_EQ(steps.of(9).next, 3u);
  EXPECT_EQ(steps.of(9).after, 5u);
  EXPECT_EQ(steps.of(1).next, 1u);
  EXPECT_EQ(steps.of(1).after, 6u);
}

TEST(Steps, LooksAheadOfWhatIsTooSoon) {
  Steps steps;
  use(steps, times(3, range(1, 10)));
  steps.look_ahead(4);
  EXPECT_EQ(steps.of(5).next, 1u);
  EXPECT_EQ(steps.of(1).next, 7u);
  // As soon as rounds are shorter than the lead, only the order is known.
  steps.look_ahead(24);
  EXPECT_EQ(steps.of(5).next, 1u);
}

// The last of the rounds of a phase is told from those before it by what came before the first.
TEST(Steps, ForeseesTheEndOfAPhase) {
  const Sequence encoder = range(100, 10), rounds = times(30, range(200, 20)),
                 decoder = range(300, 10);
  const Sequence all = joined({encoder, rounds, decoder});
  Steps steps;
  use(steps, times(2, all));
  EXPECT_GE(foreseen_of(steps, all), all.size() - 1);
  use(steps, joined({encoder, times(29, range(200, 20))}));
  steps.look_ahead();
  EXPECT_EQ(steps.of(200).next, 1u);
  EXPECT_EQ(steps.of(300).next, 21u);
  EXPECT_EQ(steps.of(100).next, 31u);
  use(steps, range(200, 5));
  steps.look_ahead();
  EXPECT_GT(steps.of(200).next, steps.of(309).next) << "that was the last time";
}

// Prefill and decoding, and batches of several sizes, are steps of their own; which one comes next
// is not known, but what it does is, once it began.
TEST(Steps, KnowsEachKindOfStepOnceItBegan) {
  const std::vector<Sequence> kinds = {joined({{1}, range(100, 40)}), joined({{2}, range(200, 40)}),
                                       joined({{3}, range(300, 40)})};
  std::mt19937 random(7);
  Steps steps;
  for (int i = 0; i < 30; ++i) use(steps, kinds[random() % 3]);
  const std::uint64_t seen = steps.seen(), before = steps.foreseen();
  for (int i = 0; i < 100; ++i) use(steps, kinds[random() % 3]);
  const double share =
      static_cast<double>(steps.foreseen() - before) / static_cast<double>(steps.seen() - seen);
  EXPECT_GT(share, 0.95);
}

TEST(Steps, ForgetsWhatIsNotDoneAnyMore) {
  Steps steps(256);
  use(steps, times(10, range(1, 50)));
  use(steps, times(20, range(100, 30)));
  steps.look_ahead();
  EXPECT_EQ(steps.of(1).next, Expectation::never);
  EXPECT_EQ(steps.of(100).next, 1u);
  EXPECT_EQ(foreseen_of(steps, range(100, 30)), 30u);
}

TEST(Steps, KeepsThreadsApart) {
  Steps alone, mixed;
  std::mt19937 random(3);
  const Sequence first = times(20, range(1, 17)), second = times(20, range(100, 23));
  use(alone, first);
  const std::uint64_t expected = alone.foreseen();
  std::size_t a = 0, b = 0;
  while (a < first.size() || b < second.size()) {
    if (b == second.size() || (a < first.size() && random() % 2 == 0)) {
      mixed.used({first[a++], 1});
    } else {
      mixed.used({second[b++], 2});
    }
  }
  EXPECT_EQ(mixed.foreseen(), expected + second.size() - 24);
  mixed.look_ahead();
  EXPECT_EQ(mixed.of(1).next, 1u);
  EXPECT_EQ(mixed.of(100).next, 1u);
}

TEST(Steps, DoesNotJoinWhatAnInterruptionParted) {
  Steps steps;
  use(steps, times(3, range(1, 10)));
  steps.interrupted();
  steps.look_ahead();
  EXPECT_EQ(steps.of(1).next, Expectation::never);
  // Where it goes on is found again by what comes now.
  use(steps, {4, 5, 6});
  steps.look_ahead();
  EXPECT_EQ(steps.of(7).next, 1u);
}

TEST(Steps, CountsOldUsesForLittle) {
  Steps steps;
  use(steps, times(1000, {1}));
  EXPECT_GT(steps.frequency(1), steps.frequency(2));
  use(steps, times(100'000, {2}));
  EXPECT_GT(steps.frequency(2), steps.frequency(1) * 10);
  EXPECT_EQ(steps.frequency(77), 0u);
}

// Whatever comes, the answers are of what was remembered.
TEST(Steps, StaysWithinWhatItRemembers) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    Steps steps(64 + seed);
    for (int i = 0; i < 5000; ++i) {
      if (random() % 500 == 0) steps.interrupted();
      steps.used({static_cast<std::uint32_t>(random() % (seed + 2)),
                  static_cast<std::uint8_t>(random() % 3)});
      if (i % 50 != 0) continue;
      steps.look_ahead(random() % 10);
      for (std::uint32_t region = 0; region < seed + 2; ++region) {
        const Expectation one = steps.of(region);
        EXPECT_TRUE(one.next == Expectation::never || (one.next >= 1 && one.next <= 64 + seed));
        EXPECT_TRUE(one.next == Expectation::never || one.after >= one.next);
      }
    }
  }
}

}  // namespace
}  // namespace vhbm
