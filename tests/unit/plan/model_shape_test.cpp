// What is computed from a model's configuration, against what others published of the same model.
#include "plan/model_shape.h"

#include <gtest/gtest.h>

#include "models.h"
#include "plan/model_families.h"

namespace vhbm::plan {
namespace {

ModelShape shape_of(const char* config) {
  const ShapeRead read = read_shape(ModelConfig("config.json", nlohmann::json::parse(config)), "");
  for (const std::string& refusal : read.refusals) ADD_FAILURE() << refusal;
  return read.shape;
}

// DeepSeek-AI, "Insights into DeepSeek-V3", https://arxiv.org/abs/2505.09343, table 1: KV cache of
// a token at 16 bits, 70.272, 327.680 and 516.096 KB.
TEST(ModelShape, KvATokenIsAsInTheTableOfInsightsIntoDeepSeekV3) {
  EXPECT_EQ(kv_bytes_per_token(shape_of(deepseek_v3), 16), 70'272);
  EXPECT_EQ(kv_bytes_per_token(shape_of(qwen_2_5_72b), 16), 327'680);
  EXPECT_EQ(kv_bytes_per_token(shape_of(llama_3_405b), 16), 516'096);
}

// "The Weight of Remembering", https://news.future-shock.ai/the-weight-of-remembering/: 128 KiB a
// token for Llama 3 8B, 300 KiB for GPT-2 XL.
TEST(ModelShape, KvATokenOfLlamaAndGpt2IsAsReported) {
  EXPECT_EQ(kv_bytes_per_token(shape_of(llama_3_8b), 16), 128 * 1024);
  EXPECT_EQ(kv_bytes_per_token(shape_of(llama_3_8b), 8), 64 * 1024);
  EXPECT_EQ(kv_bytes_per_token(shape_of(gpt2_xl), 16), 300 * 1024);
}

// Jamba, https://arxiv.org/abs/2403.19887, table 1: at a context of 256 K and 16 bits, Jamba keeps
// 4 GB and Mixtral 32 GB.
TEST(ModelShape, HybridLayersKeepAnEighthOfMixtral) {
  const double gib = 1 << 30;
  const ModelShape shape = shape_of(jamba);
  double of_attention = 0, of_states = 0;
  for (const LayerGroup& group : shape.groups) {
    (group.kind == LayerKind::recurrent ? of_states : of_attention) +=
        kv_bytes(group, 256 << 10, 16, 1);
  }
  EXPECT_EQ(of_attention, 4 * gib);
  EXPECT_GT(of_states, 0);
  EXPECT_LT(of_states, 0.02 * gib);
  EXPECT_EQ(kv_bytes(shape_of(mixtral_8x7b), 256 << 10, 16), 32 * gib);
}

// In billions: Mixtral 46.7 and 12.9 active (https://arxiv.org/abs/2401.04088), DeepSeek-V3 671 and
// 37 (https://arxiv.org/abs/2412.19437), Jamba 52 and 12 (https://arxiv.org/abs/2403.19887).
// gpt-oss-120b 116.83 and 5.13 (its model card, https://arxiv.org/abs/2508.10925, table 1), which
// leaves the 0.58 of the embedding out of what is active; Qwen3-Next 80 and 3 (its name), without
// the 0.62 of embedding and output. The others by their names and cards at https://huggingface.co.
TEST(ModelShape, ParametersAreThoseOfTheModelCards) {
  const struct {
    const char* config;
    double all, active, tolerance;  // billions
  } models[] = {
      {llama_3_8b, 8.03, 8.03, 0.005},
      {mixtral_8x7b, 46.7, 12.9, 0.005},
      {deepseek_v3, 671, 37, 0.02},
      {gemma_3_27b, 27, 27, 0.02},
      {gpt_oss_120b, 116.83, 5.13 + 0.58, 0.001},
      {gpt2_xl, 1.558, 1.558, 0.005},
      {phi_2, 2.78, 2.78, 0.005},
      {falcon_7b, 6.92, 6.92, 0.005},
      {mamba_2_8b, 2.77, 2.77, 0.005},
      {jamba, 52, 12, 0.02},
      {qwen_3_next, 80, 3 + 0.62, 0.08},
      {mistral_7b, 7.24, 7.24, 0.005},
  };
  for (const auto& model : models) {
    const ModelShape shape = shape_of(model.config);
    EXPECT_NEAR(shape.parameters / 1e9, model.all, model.all * model.tolerance) << model.config;
    EXPECT_NEAR(shape.active_parameters / 1e9, model.active, model.active * model.tolerance)
        << model.config;
  }
}

TEST(ModelShape, WeightsFollowTheirPrecision) {
  EXPECT_NEAR(shape_of(llama_3_8b).weight_bytes, 16.06e9, 0.05e9);
  EXPECT_NEAR(shape_of(deepseek_v3).weight_bytes, 671e9, 10e9);   // FP8
  EXPECT_NEAR(shape_of(mamba_2_8b).weight_bytes, 11.1e9, 0.1e9);  // float32
}

TEST(ModelShape, AWindowBoundsWhatIsKept) {
  const ModelShape shape = shape_of(mistral_7b);
  ASSERT_EQ(shape.groups.size(), 1U);
  EXPECT_EQ(shape.groups[0].kind, LayerKind::sliding);
  EXPECT_EQ(kv_bytes(shape, 2048, 16), 2048.0 * 128 * 1024);
  EXPECT_EQ(kv_bytes(shape, 100'000, 16), 4096.0 * 128 * 1024);
  EXPECT_EQ(kv_bytes_per_token(shape, 16), 0);
}

// Each sixth layer of Gemma 3 looks back all the way (https://arxiv.org/abs/2503.19786, section 2):
// ten of its 62.
TEST(ModelShape, GemmaMixesWindowsAndFullAttention) {
  const ModelShape shape = shape_of(gemma_3_27b);
  ASSERT_EQ(shape.groups.size(), 2U);
  EXPECT_EQ(shape.groups[0].layers, 52U);
  EXPECT_EQ(shape.groups[0].window, 1024U);
  EXPECT_EQ(shape.groups[1].layers, 10U);
  EXPECT_EQ(kv_bytes_per_token(shape, 16), 10.0 * 2 * 16 * 128 * 2);
}

TEST(ModelShape, LayerTypesCountMoreThanTheFamilysRhythm) {
  nlohmann::json config = nlohmann::json::parse(gpt_oss_120b);
  for (int layer = 0; layer < 36; ++layer) {
    config["layer_types"].push_back(layer < 9 ? "full_attention" : "sliding_attention");
  }
  const ShapeRead read = read_shape(ModelConfig("config.json", config), "");
  ASSERT_EQ(read.shape.groups.size(), 2U);
  EXPECT_EQ(read.shape.groups[0].layers, 9U);
  EXPECT_EQ(read.shape.groups[1].layers, 27U);
  EXPECT_EQ(shape_of(gpt_oss_120b).groups[0].layers, 18U);
}

TEST(ModelShape, AStateIsAsLargeForOneTokenAsForMany) {
  const ModelShape shape = shape_of(mamba_2_8b);
  EXPECT_EQ(kv_bytes(shape, 1, 16), kv_bytes(shape, 1'000'000, 16));
  // 64 layers: 5120 channels, each 16 numbers of state and 4 of convolution.
  EXPECT_EQ(kv_bytes(shape, 1, 16), 64.0 * 5120 * (16 * 4 + 4 * 2));
  ASSERT_EQ(shape_of(qwen_3_next).groups.size(), 2U);
  EXPECT_EQ(shape_of(qwen_3_next).groups[1].layers, 12U);
}

// MLA has one latent vector for all heads, so that each GPU holds all of it.
TEST(ModelShape, WhatCannotBeDividedIsOnEveryGpu) {
  const ModelShape latent = shape_of(deepseek_v3), grouped = shape_of(llama_3_8b);
  EXPECT_EQ(kv_bytes(latent, 1000, 16, 8), 8 * kv_bytes(latent, 1000, 16, 1));
  EXPECT_EQ(kv_bytes(grouped, 1000, 16, 8), kv_bytes(grouped, 1000, 16, 1));
  EXPECT_EQ(kv_bytes(grouped, 1000, 16, 16), 2 * kv_bytes(grouped, 1000, 16, 1));
}

// Two operations for a parameter and token; what attention adds grows with the square, and with a
// window, in proportion.
TEST(ModelShape, PromptsCostTwiceTheParametersAndAttention) {
  const ModelShape shape = shape_of(llama_3_8b);
  const double layers_only = 8.03e9 - 2 * 128256.0 * 4096;
  EXPECT_NEAR(prefill_operations(shape, 1), 2 * layers_only, 0.01 * layers_only);
  const double attention =
      prefill_operations(shape, 100'000) - 100'000 * 2 * shape.matrix_parameters;
  EXPECT_NEAR(attention, 32 * 2.0 * 32 * 256 * 100'000 * 100'001 / 2, attention * 1e-9);
  const ModelShape sliding = shape_of(mistral_7b);
  const auto more = [&](std::uint64_t tokens) {
    return prefill_operations(sliding, tokens + 1) - prefill_operations(sliding, tokens);
  };
  EXPECT_NEAR(more(50'000), more(100'000), 1e6);
}

}  // namespace
}  // namespace vhbm::plan
