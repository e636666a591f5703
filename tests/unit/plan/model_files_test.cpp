// Models as they lie on disk, whole and broken.
#include "plan/model_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "models.h"

namespace vhbm::plan {
namespace {
namespace fs = std::filesystem;

// A folder of its own for each test.
class ModelFiles : public testing::Test {
 protected:
  ModelFiles() {
    std::string name = (fs::temp_directory_path() / "vhbm-model-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~ModelFiles() override { fs::remove_all(folder_); }

  void write(const char* name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string config() const { return (folder_ / "config.json").string(); }
  [[nodiscard]] ShapeRead read(const std::string& family = "") const {
    return read_model(folder_.string(), family);
  }
  // The only refusal of a folder whose config.json is this.
  [[nodiscard]] std::string refusal_of(const std::string& text) const {
    write("config.json", text);
    const ShapeRead model = read();
    EXPECT_EQ(model.refusals.size(), 1U) << text;
    return model.refusals.empty() ? "" : model.refusals.front();
  }
  // A header as safetensors has it, and no data behind it.
  static std::string safetensors(const std::string& header) {
    std::string text(8, '\0');
    for (int i = 0; i < 8; ++i) text[i] = static_cast<char>(header.size() >> (8 * i));
    return text + header;
  }

  fs::path folder_;
};

TEST_F(ModelFiles, TheIndexSaysWhatWeightsTake) {
  write("config.json", llama_3_8b);
  write("model.safetensors.index.json", R"({"metadata": {"total_size": 16060522496}})");
  const ShapeRead model = read();
  ASSERT_TRUE(model.refusals.empty());
  EXPECT_EQ(model.shape.weight_bytes, 16'060'522'496);
  EXPECT_EQ(model.shape.weights_from, "model.safetensors.index.json");
  EXPECT_EQ(model.shape.name, folder_.filename().string());
}

TEST_F(ModelFiles, WithoutAnIndexTheHeadersDo) {
  write("config.json", llama_3_8b);
  write("a.safetensors", safetensors(R"({"__metadata__": {"format": "pt"},
      "x": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
      "y": {"dtype": "F32", "shape": [4], "data_offsets": [12, 28]}})"));
  write("b.safetensors", safetensors(R"({"z": {"data_offsets": [0, 100]}})"));
  EXPECT_EQ(read().shape.weight_bytes, 128);
}

TEST_F(ModelFiles, ABrokenWeightsFileIsNamed) {
  write("config.json", llama_3_8b);
  for (const std::string& text :
       {std::string("short"), std::string(8, '\xff') + "{}", safetensors("{}").substr(0, 9),
        safetensors("not JSON"), safetensors(R"({"x": {"data_offsets": [5]}})")}) {
    write("a.safetensors", text);
    const ShapeRead model = read();
    ASSERT_EQ(model.refusals.size(), 1U) << text;
    EXPECT_NE(model.refusals[0].find("a.safetensors: its header"), std::string::npos);
  }
}

TEST_F(ModelFiles, AFileAloneIsAModelToo) {
  write("llama.json", llama_3_8b);
  const ShapeRead model = read_model((folder_ / "llama.json").string(), "");
  ASSERT_TRUE(model.refusals.empty());
  EXPECT_EQ(model.shape.name, "llama");
  EXPECT_EQ(model.shape.weights_from, "estimated from config.json");
}

TEST_F(ModelFiles, RefusalsNameFileKeyValueAndWhatIsAccepted) {
  std::string text = llama_3_8b;
  const auto with = [&](const char* from, const char* to) {
    std::string changed = text;
    changed.replace(changed.find(from), std::string(from).size(), to);
    return refusal_of(changed);
  };
  EXPECT_EQ(
      with("\"num_hidden_layers\": 32", "\"num_hidden_layers\": \"many\""),
      config() + ": num_hidden_layers = \"many\"; accepted: a whole number of 1 to 1000000000");
  EXPECT_EQ(
      with("\"num_hidden_layers\": 32,", ""),
      config() + ": num_hidden_layers is missing; accepted: a whole number of 1 to 1000000000");
  EXPECT_EQ(with("\"num_hidden_layers\": 32", "\"num_hidden_layers\": 99999"),
            config() + ": num_hidden_layers = 99999; accepted: at most 10000 layers");
  EXPECT_EQ(with("\"torch_dtype\": \"bfloat16\"", "\"torch_dtype\": \"bf16\""),
            config() +
                ": torch_dtype = \"bf16\"; accepted: float32, float16, bfloat16 or "
                "float8_e4m3fn");
  EXPECT_NE(
      with("\"llama\"", "\"alpaca\"").find("model_type = \"alpaca\"; accepted: llama, mistral"),
      std::string::npos);
}

TEST_F(ModelFiles, APartsKeysAreNamedInFull) {
  std::string text = gemma_3_27b;
  text.replace(text.find("1024"), 4, "-1");
  EXPECT_NE(refusal_of(text).find(": text_config.sliding_window = -1"), std::string::npos);
}

TEST_F(ModelFiles, WhatIsNoModelIsRefused) {
  EXPECT_EQ(read_model("/nonexistent", "").refusals.size(), 1U);
  EXPECT_EQ(read().refusals.size(), 1U);  // no config.json
  for (const char* text : {"", "{", "[]", "null", "\xff\xfe", "{\"model_type\": \"llama\""}) {
    EXPECT_NE(refusal_of(text).find(config()), std::string::npos) << text;
  }
}

// Every key of every family, replaced by values that no file should have: refused or read, never a
// crash, nor a number that is none.
TEST_F(ModelFiles, NoValueOfAnyKeyDoesHarm) {
  const char* values[] = {"null", "-1", "0", "1e300", "0.5", "\"x\"", "[]", "{}", "[1,[]]", "true"};
  for (const char* config : {llama_3_8b, qwen_2_5_72b, deepseek_v3, mixtral_8x7b, gpt_oss_120b,
                             gpt2_xl, falcon_7b, mamba_2_8b, jamba, qwen_3_next}) {
    const nlohmann::json good = nlohmann::json::parse(config);
    for (const auto& [key, unused] : good.items()) {
      for (const char* value : values) {
        nlohmann::json bad = good;
        bad[key] = nlohmann::json::parse(value);
        const ShapeRead model = read_shape(ModelConfig("config.json", bad), "");
        if (!model.refusals.empty()) continue;
        EXPECT_GE(kv_bytes(model.shape, 1000, 16), 0) << key << value;
        EXPECT_GT(model.shape.weight_bytes, 0) << key << value;
      }
    }
  }
}

TEST_F(ModelFiles, AFamilyCanBeNamedForAFileThatIsNotKnown) {
  std::string text = llama_3_8b;
  text.replace(text.find("llama"), 5, "novel");
  write("config.json", text);
  EXPECT_TRUE(read("llama").refusals.empty());
  EXPECT_EQ(read("llama").shape.family, "llama");
}

}  // namespace
}  // namespace vhbm::plan
