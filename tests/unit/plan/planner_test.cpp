// Plans and verdicts, against figures computed by hand.
#include "plan/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "plan/gpu_table.h"
#include "plan/report.h"
#include "plan/request.h"
#include "plan/verdict.h"

namespace vhbm::plan {
namespace {

constexpr double gib = 1 << 30;

// A model of 10 GiB whose KV is 1 MiB a token: one layer, 16 heads of 16 Ki elements, 16 bits.
ModelLoad small_model() {
  ModelLoad load;
  load.shape.name = "small";
  LayerGroup group;
  group.layers = 1;
  group.heads = 16;
  group.elements = 512 << 10;
  group.planes = 2;
  load.shape.groups = {group};
  load.shape.weight_bytes = 10 * gib;
  load.shape.parameters = load.shape.active_parameters = load.shape.matrix_parameters = 5e9;
  load.context = 1024;
  return load;
}

// 20 GiB for weights and KV, a link of 9 GiB a second after the tenth, HBM eleven times that.
Workload small_workload() {
  Workload workload;
  workload.machine.hbm_bytes = 20 * gib;
  workload.machine.hbm_share = 1;
  workload.machine.link_rate = 10 * gib;
  workload.machine.hbm_rate = 99 * gib;
  workload.machine.flops = 1e12;
  workload.machine.host_bytes = 100 * gib;
  workload.models = {small_model()};
  return workload;
}

bool has(const std::vector<Point>& points, const std::string& about) {
  return std::any_of(points.begin(), points.end(),
                     [&](const Point& point) { return point.about == about; });
}

std::string text_of(const std::vector<Point>& points, const std::string& about) {
  for (const Point& point : points) {
    if (point.about == about) return point.text;
  }
  return "";
}

TEST(Planner, WhatFitsNeedsNothing) {
  const Workload workload = small_workload();
  const Plan plan = make_plan(workload);
  EXPECT_EQ(plan.all, 11 * gib);
  EXPECT_EQ(plan.host_needed, 0);
  EXPECT_EQ(plan.slowdown, 1);
  EXPECT_EQ(judge(workload).answer, Answer::not_needed);
}

TEST(Planner, TimesAreBytesOverNineTenthsOfTheLink) {
  const Plan plan = make_plan(small_workload());
  EXPECT_DOUBLE_EQ(plan.models[0].transfer, 1.0 / 9);
  EXPECT_DOUBLE_EQ(plan.models[0].wake, 11.0 / 9);
  // 2 × 5e9 × 1024 operations at 40 % of 1e12; there is no attention in this model.
  EXPECT_DOUBLE_EQ(plan.models[0].recompute, 2 * 5e9 * 1024 / 4e11);
}

// One session decodes, thirty-nine rest: 40 GiB of KV. A block of 16 tokens is 8 MiB of keys: no
// two share a chunk, so what rests can leave.
TEST(Planner, SessionsThatRestAreWorthMoving) {
  Workload workload = small_workload();
  workload.models[0].sessions = 40;
  const Plan plan = make_plan(workload);
  EXPECT_EQ(plan.all, 50 * gib);
  EXPECT_DOUBLE_EQ(plan.working_set, 11 * gib);
  EXPECT_EQ(plan.host_needed, 30 * gib);
  const Verdict verdict = judge(workload);
  EXPECT_EQ(verdict.answer, Answer::worth_it);
  EXPECT_TRUE(has(verdict.reasons, "transfer"));
  EXPECT_TRUE(verdict.instead.empty());
}

TEST(Planner, BlocksThatShareChunksCannotLeaveAlone) {
  LayerGroup group = small_model().shape.groups[0];
  group.elements = 2048;  // 16 tokens: 32 KiB of keys, 64 blocks a chunk, as in Llama 3 8B
  ModelLoad load = small_model();
  load.shape.groups = {group};
  load.sessions = 100;
  load.active = 28;
  KvLayout layout;
  EXPECT_DOUBLE_EQ(blocks_a_chunk(group, 32, layout, 16, 1), 64);
  EXPECT_GT(touched_share(group, 32, layout, load, 1), 0.999);
  layout.block_tokens = 256;
  EXPECT_DOUBLE_EQ(blocks_a_chunk(group, 32, layout, 16, 1), 4);
  EXPECT_DOUBLE_EQ(touched_share(group, 32, layout, load, 1), 1 - std::pow(0.72, 4));
  layout.block_tokens = 16;
  layout.layers_together = true;  // 16 tokens × 32 layers × 4 KiB = 2 MiB
  EXPECT_DOUBLE_EQ(blocks_a_chunk(group, 32, layout, 16, 1), 1);
  EXPECT_DOUBLE_EQ(touched_share(group, 32, layout, load, 1), 0.28);
  layout = {0, false};
  EXPECT_DOUBLE_EQ(touched_share(group, 32, layout, load, 1), 0.28);
}

// 20 sessions decode: 30 GiB in use, 20 of HBM. A third comes over a link that is eleven times
// slower: 1 + (11 - 1) / 3.
TEST(Planner, WhatIsInUseAndDoesNotFitSlowsEachStep) {
  Workload workload = small_workload();
  workload.models[0].sessions = workload.models[0].active = 20;
  EXPECT_DOUBLE_EQ(make_plan(workload).slowdown, 1 + 10.0 / 3);
  const Verdict verdict = judge(workload);
  EXPECT_EQ(verdict.answer, Answer::no);
  EXPECT_TRUE(has(verdict.reasons, "working_set"));
  EXPECT_NE(text_of(verdict.reasons, "working_set").find("4.3 times"), std::string::npos);
  // Each of these alone brings the step below twice its length.
  EXPECT_NE(text_of(verdict.instead, "kv_bits").find("20.0 GiB in all instead of 30.0 GiB"),
            std::string::npos);
  EXPECT_NE(text_of(verdict.instead, "gpus").find("2 GPUs: 40.0 GiB"), std::string::npos);
  // In use at once may be 20 / 0.9 GiB: 12.2 of 20 sessions, or 625 of 1024 tokens in 20 of them.
  EXPECT_NE(text_of(verdict.instead, "active").find("at most 12 sessions"), std::string::npos);
  EXPECT_NE(text_of(verdict.instead, "context").find("at most 625 tokens (now 1024)"),
            std::string::npos);
  EXPECT_FALSE(has(verdict.instead, "block_tokens"));
  EXPECT_FALSE(has(verdict.instead, "host"));
}

TEST(Planner, SmallBlocksAreCuredByLargerOnes) {
  Workload workload = small_workload();
  // The same KV in 256 layers: 64 KiB of keys for a block of 16 tokens, 32 of them a chunk.
  workload.models[0].shape.groups[0].layers = 256;
  workload.models[0].shape.groups[0].elements = 2048;
  workload.models[0].sessions = 40;
  workload.models[0].active = 4;
  const Verdict verdict = judge(workload);
  EXPECT_EQ(verdict.answer, Answer::no);
  ASSERT_TRUE(has(verdict.instead, "block_tokens"));
  EXPECT_TRUE(has(verdict.instead, "layers_together"));
  // 22.2 GiB may be in use: 12.2 of 40 of KV. 1 - 0.9^3.4 is that share: two blocks a chunk do.
  EXPECT_NE(text_of(verdict.instead, "block_tokens").find("blocks of 512 tokens (now 16)"),
            std::string::npos)
      << text_of(verdict.instead, "block_tokens");
}

TEST(Planner, TooLittleHostMemoryIsSaid) {
  Workload workload = small_workload();
  workload.models[0].sessions = 40;
  workload.machine.host_bytes = 29 * gib;
  const Verdict verdict = judge(workload);
  EXPECT_EQ(verdict.answer, Answer::no);
  EXPECT_NE(text_of(verdict.reasons, "host").find("30.0 GiB do not fit into HBM"),
            std::string::npos);
  EXPECT_EQ(text_of(verdict.instead, "host"), "30.0 GiB of host memory");
}

TEST(Planner, WhatIsComputedSoonerIsNotFetched) {
  Workload workload = small_workload();
  workload.models[0].sessions = 40;
  workload.machine.flops = 1e15;
  const Verdict verdict = judge(workload);
  EXPECT_EQ(verdict.answer, Answer::no);
  EXPECT_TRUE(has(verdict.reasons, "recompute"));
}

TEST(Planner, ModelsByTurnsNeedRoomForOne) {
  Workload workload = small_workload();
  workload.models.push_back(small_model());
  EXPECT_EQ(make_plan(workload).working_set, 11 * gib);
  EXPECT_EQ(judge(workload).answer, Answer::worth_it);
  EXPECT_NE(text_of(judge(workload).reasons, "wake").find("1.22 s at most"), std::string::npos);
  workload.at_once = true;
  EXPECT_EQ(make_plan(workload).working_set, 22 * gib);
  EXPECT_DOUBLE_EQ(make_plan(workload).slowdown, 1 + 2.0 / 22 * 10);
  EXPECT_EQ(judge(workload).answer, Answer::worth_it);  // 1.9 times: said, not refused
  EXPECT_TRUE(has(judge(workload).reasons, "slowdown"));
  EXPECT_FALSE(has(judge(workload).reasons, "wake"));
}

TEST(Planner, SeveralGpusAddUp) {
  Workload workload = small_workload();
  workload.machine.gpus = 2;
  EXPECT_EQ(workload.machine.usable(), 40 * gib);
  EXPECT_DOUBLE_EQ(make_plan(workload).models[0].transfer, 1.0 / 18);
  EXPECT_DOUBLE_EQ(make_plan(workload).models[0].recompute, 2 * 5e9 * 1024 / 8e11);
}

Request by_figures() {
  Request request;
  request.layers = 32;
  request.kv_heads = 8;
  request.head_size = 128;
  request.query_heads = 32;
  request.parameters = {"8.03B"};
  request.gpu = "h100";
  return request;
}

TEST(Requests, AModelByItsFigures) {
  const WorkloadRead read = read_workload(by_figures(), std::nullopt, 100 * gib);
  ASSERT_TRUE(read.refusals.empty());
  EXPECT_EQ(kv_bytes_per_token(read.workload.models[0].shape, 16), 128 * 1024);
  EXPECT_NEAR(read.workload.models[0].shape.weight_bytes, 16.06e9, 1);
  EXPECT_EQ(read.workload.machine.hbm_bytes, 80 * gib);
  EXPECT_EQ(read.workload.machine.host_bytes, 50 * gib);
}

// DeepSeek-V3, and a hybrid of 8 layers, by their figures: what their files come to elsewhere.
TEST(Requests, OtherKindsOfLayersByTheirFigures) {
  Request latent = by_figures();
  latent.kv_heads = latent.head_size = 0;
  latent.layers = 61;
  latent.latent_size = 512 + 64;
  const WorkloadRead mla = read_workload(latent, std::nullopt, gib);
  ASSERT_TRUE(mla.refusals.empty());
  EXPECT_EQ(kv_bytes_per_token(mla.workload.models[0].shape, 16), 70'272);

  Request hybrid = by_figures();
  hybrid.layers = 8;
  hybrid.window = 1024;
  hybrid.window_layers = 4;
  hybrid.state = "2MiB";
  hybrid.state_layers = 3;
  const WorkloadRead mixed = read_workload(hybrid, std::nullopt, gib);
  ASSERT_TRUE(mixed.refusals.empty());
  EXPECT_EQ(kv_bytes(mixed.workload.models[0].shape, 10'000, 16),
            4096.0 * (10'000 + 4 * 1024) + 3 * (2 << 20));
  hybrid.state_layers = 5;
  EXPECT_EQ(read_workload(hybrid, std::nullopt, gib).refusals.size(), 1U);
  hybrid.state_layers = 0;
  EXPECT_EQ(read_workload(hybrid, std::nullopt, gib).refusals.at(0),
            "--state and --state-layers go together");
}

TEST(Requests, ValuesAreForEveryModelOrForEach) {
  Request request = by_figures();
  request.sessions = {4, 5};
  EXPECT_EQ(read_workload(request, std::nullopt, gib).refusals.size(), 1U);
  request.sessions = {4};
  request.active = {5};
  const WorkloadRead read = read_workload(request, std::nullopt, gib);
  ASSERT_EQ(read.refusals.size(), 1U);
  EXPECT_EQ(read.refusals[0], "--active 5; accepted: at most --sessions, 4");
}

TEST(Requests, WhatIsNotAcceptedIsSaid) {
  const auto refusal = [](auto change) {
    Request request = by_figures();
    change(request);
    const WorkloadRead read = read_workload(request, std::nullopt, gib);
    return read.refusals.empty() ? "" : read.refusals[0];
  };
  EXPECT_NE(refusal([](Request& r) { r.gpu = "h1000"; }).find("--gpu h1000; accepted: t4, a10"),
            std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.gpu = ""; }).find("no GPU here"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.hbm = "80%"; }).find("--hbm 80%"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.parameters = {"8 bn"}; }).find("8.03B"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.kv_heads = 0; }).find("--kv-heads"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.layers = 0; }).find("no model"), std::string::npos);
}

TEST(Requests, TheGpuThatIsHereIsLookedUpByItsName) {
  Request request = by_figures();
  request.gpu = "";
  const GpuSeen h200{"NVIDIA H200", 140 * gib}, unknown{"Voodoo 2", 8 * gib};
  EXPECT_EQ(read_workload(request, h200, gib).workload.machine.hbm_bytes, 140 * gib);
  EXPECT_EQ(read_workload(request, h200, gib).workload.machine.hbm_rate, 4.8e12);
  EXPECT_NE(
      read_workload(request, unknown, gib).refusals.at(0).find("Voodoo 2 is not in the table"),
      std::string::npos);
  EXPECT_STREQ(gpu_of_device("NVIDIA A10")->name, "a10");
  EXPECT_STREQ(gpu_of_device("NVIDIA A100-SXM4-80GB")->name, "a100-80gb");
  EXPECT_STREQ(gpu_of_device("NVIDIA L40S")->name, "l40s");
  EXPECT_STREQ(gpu_of_device("NVIDIA H100 80GB HBM3")->name, "h100");
  EXPECT_EQ(gpu_of_device("NVIDIA A100X"), nullptr);
}

TEST(Requests, BothReportsTellTheVerdict) {
  Request request = by_figures();
  request.sessions = {200};
  request.active = {8};
  request.block_tokens = 0;
  request.context = {32768};
  const WorkloadRead read = read_workload(request, std::nullopt, 4000 * gib);
  const Plan plan = make_plan(read.workload);
  const Verdict verdict = judge(read.workload);
  const std::string text = plan_text(read, plan, verdict);
  EXPECT_NE(text.find("vHBM: worth it\n"), std::string::npos) << text;
  EXPECT_EQ(text.find('\033'), std::string::npos);
  const std::string json = plan_json(read, plan, verdict);
  EXPECT_NE(json.find("\"kv_bytes_a_token\": 131072"), std::string::npos) << json;
  EXPECT_NE(json.find("\"verdict\": \"worth_it\""), std::string::npos);
}

}  // namespace
}  // namespace vhbm::plan
