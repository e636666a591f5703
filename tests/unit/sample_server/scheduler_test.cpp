// vLLM's scheduling: chunked prompts, decoding first, preemption of the last admitted,
// recomputation.
#include "scheduler.h"

#include <gtest/gtest.h>

#include <deque>

#include "paged_kv.h"
#include "token_makers.h"

namespace sample_server {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  Sequence& make(std::size_t prompt, std::size_t output, TokenId first) {
    Sequence& sequence = sequences_.emplace_back();
    sequence.id = sequences_.size();
    sequence.tokens = ascending(prompt, first);
    sequence.prompt_length = prompt;
    sequence.output_length = output;
    return sequence;
  }
  // What the server does once a step is computed: every sequence that is at its end gets a token.
  static void complete(Scheduler& scheduler, const std::vector<StepPart>& step) {
    for (const StepPart& part : step) {
      if (!part.yields_token()) continue;
      part.sequence->tokens.push_back(7);
      if (part.sequence->complete()) scheduler.finish(*part.sequence);
    }
  }

  std::deque<Sequence> sequences_;
};

TEST_F(SchedulerTest, CutsALongPromptIntoChunks) {
  PagedKv kv(16, 16);
  Scheduler scheduler(kv, {4, 32});
  scheduler.submit(make(70, 1, 0));
  std::vector<std::size_t> chunks;
  while (scheduler.in_flight() > 0) {
    const auto step = scheduler.next_step();
    ASSERT_EQ(step.size(), 1U);
    chunks.push_back(step[0].count);
    complete(scheduler, step);
  }
  EXPECT_EQ(chunks, (std::vector<std::size_t>{32, 32, 6}));
}

TEST_F(SchedulerTest, DecodesWhatRunsBeforeItAdmitsMore) {
  PagedKv kv(16, 16);
  Scheduler scheduler(kv, {4, 32});
  Sequence& first = make(32, 4, 0);
  Sequence& second = make(40, 4, 500);
  scheduler.submit(first);
  scheduler.submit(second);
  complete(scheduler, scheduler.next_step());
  const auto step = scheduler.next_step();
  ASSERT_EQ(step.size(), 2U);
  EXPECT_EQ(step[0].sequence, &first);
  EXPECT_EQ(step[0].count, 1U);
  EXPECT_TRUE(step[0].yields_token());
  EXPECT_EQ(step[1].sequence, &second);
  EXPECT_EQ(step[1].count, 31U);
  EXPECT_FALSE(step[1].yields_token());
}

TEST_F(SchedulerTest, RunsNoMoreThanItsLimit) {
  PagedKv kv(16, 16);
  Scheduler scheduler(kv, {2, 64});
  for (TokenId i = 0; i < 3; ++i) scheduler.submit(make(10, 4, 100 * i));
  EXPECT_EQ(scheduler.next_step().size(), 2U);
}

TEST_F(SchedulerTest, LetsASequenceUseBlocksThatTheSameStepFills) {
  PagedKv kv(16, 16);
  Scheduler scheduler(kv, {2, 128});
  scheduler.submit(make(40, 1, 0));
  scheduler.submit(make(40, 1, 0));
  const auto step = scheduler.next_step();
  ASSERT_EQ(step.size(), 2U);
  EXPECT_EQ(step[1].first, 32U);
  EXPECT_EQ(scheduler.counts().prefix_hit_tokens, 32U);
}

TEST_F(SchedulerTest, PreemptsTheLastAdmittedAndComputesItAgain) {
  PagedKv kv(4, 16);
  Scheduler scheduler(kv, {2, 64});
  Sequence& first = make(32, 3, 0);
  Sequence& second = make(32, 3, 500);
  scheduler.submit(first);
  scheduler.submit(second);
  complete(scheduler, scheduler.next_step());  // both prompts fill all four blocks

  const auto step = scheduler.next_step();  // each needs a third block
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].sequence, &first);
  EXPECT_EQ(scheduler.counts().preemptions, 1U);
  EXPECT_EQ(second.computed, 0U);
  complete(scheduler, step);

  while (scheduler.in_flight() > 0) complete(scheduler, scheduler.next_step());
  EXPECT_EQ(first.generated(), 3U);
  EXPECT_EQ(second.generated(), 3U);
  // The first took one of the second's two blocks, its tail; the other was found again.
  EXPECT_EQ(scheduler.counts().recomputed_tokens, 16U);
  EXPECT_EQ(scheduler.counts().computed_tokens, 32U + 2 + 32 + 2 + 16);
}

TEST_F(SchedulerTest, CountsOnlyTheFirstAdmissionAsAPrefixHit) {
  PagedKv kv(4, 16);
  Scheduler scheduler(kv, {2, 64});
  scheduler.submit(make(32, 3, 0));
  scheduler.submit(make(32, 3, 500));
  while (scheduler.in_flight() > 0) complete(scheduler, scheduler.next_step());
  EXPECT_EQ(scheduler.counts().preemptions, 1U);
  EXPECT_EQ(scheduler.counts().prompt_tokens, 64U);
  EXPECT_EQ(scheduler.counts().prefix_hit_tokens, 0U);
}

}  // namespace
}  // namespace sample_server
