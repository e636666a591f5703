// What a trace says: the workload in it, and what really happened.
#include "replay/recorded.h"

#include <gtest/gtest.h>

#include "replay/study.h"
#include "traces.h"

namespace vhbm::replay {
namespace {

using std::chrono::nanoseconds;

TEST(Recorded, TellsWhatReallyHappened) {
  const SmallTrace trace;
  const auto recorded = read_recorded(trace.path);
  ASSERT_TRUE(recorded.ok()) << recorded.status().message();
  const Happened& happened = recorded->happened;
  EXPECT_EQ(happened.uses, 6u);
  EXPECT_EQ(recorded->workload.unknown_uses, 1u);
  EXPECT_EQ(recorded->lanes, 2u);
  // Of region 2 two chunks were read in place, then none; of region 1 none, then the one that left.
  EXPECT_EQ(happened.in_place, mib(2) * 3);
  EXPECT_EQ(happened.chunk_uses, 4u * 5 + 1);
  EXPECT_EQ(happened.hits, happened.chunk_uses - 3);
  EXPECT_EQ(happened.moved_in, mib(4));
  EXPECT_EQ(happened.moved_out, mib(2));
  EXPECT_EQ(happened.copied_out, Bytes{});
  EXPECT_EQ(happened.misses, 3u + 2);
  EXPECT_EQ(happened.flips, 1u);
  EXPECT_EQ(happened.closures, 1u);
  EXPECT_EQ(happened.stall, nanoseconds(890'000));
  EXPECT_EQ(happened.gate_waits, 3u);
  EXPECT_EQ(happened.guard_verdicts, 1u);
  EXPECT_EQ(happened.time, nanoseconds(31'000'000));
  EXPECT_EQ(recorded->link_to_hbm, 40'000'000'000u);
  EXPECT_EQ(recorded->workload.peak(), mib(18));
  EXPECT_EQ(recorded->workload.lives.size(), 3u);
  EXPECT_FALSE(recorded->cut_off);
}

TEST(Recorded, KeepsTheOptionsThatThisVersionKnows) {
  const Options options = options_of(small_header());
  EXPECT_EQ(options.stall_limit.value, 20u);
  EXPECT_EQ(options.policy, "lru");
  EXPECT_EQ(options.flip_size, Options().flip_size);
}

TEST(Recorded, RefusesWhatMakesNoSenseWithFileAndByte) {
  auto records = small_records();
  std::get<recording::region>(records[1].content).chunk_size = 4096;
  const SmallTrace trace(records);
  const auto recorded = read_recorded(trace.path);
  ASSERT_FALSE(recorded.ok());
  EXPECT_TRUE(recorded.status().message().starts_with(trace.path + ": byte "))
      << recorded.status().message();
  EXPECT_NE(recorded.status().message().find(
                "a record of kind region makes no sense: chunk_size = 4096, and the header says"),
            std::string::npos);
}

TEST(Recorded, RefusesTagsAndSizesThatCannotBe) {
  const auto refused = [](auto&& change) {
    auto records = small_records();
    change(std::get<recording::region>(records[0].content));
    const SmallTrace trace(records);
    return !read_recorded(trace.path).ok();
  };
  EXPECT_FALSE(refused([](recording::region&) {}));
  EXPECT_TRUE(refused([](recording::region& one) { one.tag = 9; }));
  EXPECT_TRUE(refused([](recording::region& one) { one.runs = {1ull << 60}; }));
  EXPECT_TRUE(refused([](recording::region& one) { one.index = 1ull << 40; }));
  EXPECT_TRUE(refused([](recording::region& one) { one.first_chunk = 1ull << 40; }));
}

TEST(Study, IsTheSameTwiceAndKnowsTheRecordingsOwn) {
  const SmallTrace trace;
  const auto recorded = read_recorded(trace.path);
  ASSERT_TRUE(recorded.ok());
  Choices choices;
  for (const Policy& policy : policies()) choices.policies.push_back(&policy);
  choices.options = options_of(recorded->header);
  choices.rates = {1e12, 1e10, 1e10};
  std::size_t last = 0;
  const Study first = study(*recorded, choices, [&](std::size_t done, std::size_t all) {
    EXPECT_EQ(done, last + 1);
    EXPECT_LE(done, all);
    last = done;
  });
  EXPECT_EQ(last, 1 + choices.policies.size());
  const Study second = study(*recorded, choices, {});
  ASSERT_EQ(first.sizes.size(), 1u);
  EXPECT_TRUE(first.sizes[0].own);
  EXPECT_EQ(first.sizes[0].recorded_policy, "lru");
  for (std::size_t i = 0; i < choices.policies.size(); ++i) {
    EXPECT_EQ(first.sizes[0].policies[i].played, second.sizes[0].policies[i].played);
    EXPECT_EQ(first.sizes[0].policies[i].played.uses, 6u);
  }
}

}  // namespace
}  // namespace vhbm::replay
