// Each reader walks the layers of its family: what a layer keeps goes to the shape's groups, what
// it weighs to its parameters. Biases and the like are left out: they are below a thousandth.
#include "model_families.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "runtime/words.h"

namespace vhbm::plan {
namespace {

enum class Windows { none, every_layer, upper_layers, every_other, all_but_each_sixth };

struct Family {
  const char* model_type;
  void (*reader)(class Reading&);
  Windows windows;
  std::uint64_t mlp_matrices;
  bool tied;
};

double product(std::initializer_list<std::uint64_t> factors) {
  double result = 1;
  for (const std::uint64_t factor : factors) result *= static_cast<double>(factor);
  return result;
}

// A shape that grows layer by layer.
class Reading {
 public:
  Reading(ModelConfig& config, const Family& family)
      : config(config),
        family(family),
        hidden(config.count({"hidden_size", "n_embd", "d_model"})),
        layers(config.count({"num_hidden_layers", "n_layer"})) {}

  ModelConfig& config;
  const Family& family;
  const std::uint64_t hidden;
  const std::uint64_t layers;
  ModelShape shape;

  // Layers are walked one by one, so an absurd number is not to be believed.
  [[nodiscard]] bool plausible() {
    if (layers > 10'000) {
      config.refuse(config.has("n_layer") ? "n_layer" : "num_hidden_layers",
                    "at most 10000 layers");
    }
    return config.refusals().empty();
  }

  void add_weights(double all, double active) {
    shape.parameters += all;
    shape.active_parameters += active;
    shape.matrix_parameters += active;
  }
  void add_weights(double both) { add_weights(both, both); }

  // Keys and values of so many heads; a query has `query_heads`.
  void add_attention(std::uint64_t query_heads, std::uint64_t heads, std::uint64_t head_size,
                     std::uint64_t window, std::uint64_t query_matrices = 1) {
    LayerGroup group;
    group.kind = window == 0 ? LayerKind::attention : LayerKind::sliding;
    group.layers = 1;
    group.heads = heads;
    group.elements = 2 * heads * head_size;
    group.planes = 2;
    group.window = window;
    group.score_width = query_heads * 2 * head_size;
    shape.add(group);
    add_weights(product({hidden, query_heads, head_size}) *
                    static_cast<double>(query_matrices + 1) +
                2 * product({hidden, heads, head_size}));
  }

  void add_state(std::uint64_t heads, std::uint64_t bytes) {
    LayerGroup group;
    group.kind = LayerKind::recurrent;
    group.layers = 1;
    group.heads = heads;
    group.planes = 1;
    group.state_bytes = bytes;
    shape.add(group);
  }

  // The feed-forward block of that layer: one, or experts of which a token meets a few.
  void add_feed_forward(std::uint64_t layer) {
    const std::uint64_t inner =
        config.count_or({"intermediate_size", "n_inner", "ffn_hidden_size"}, 4 * hidden);
    const std::uint64_t experts =
        config.count_or({"num_local_experts", "n_routed_experts", "num_experts"}, 1);
    const double matrices = static_cast<double>(family.mlp_matrices);
    if (experts == 1 || !has_experts(layer)) {
      add_weights(matrices * product({hidden, inner}));
      return;
    }
    const std::uint64_t met = config.count("num_experts_per_tok");
    const std::uint64_t expert_inner = config.count_or("moe_intermediate_size", inner);
    const std::uint64_t shared = config.number_or(
        "shared_expert_intermediate_size", config.number_or("n_shared_experts", 0) * expert_inner);
    const double of_one = matrices * product({hidden, expert_inner});
    const double of_all = matrices * product({hidden, shared}) + product({hidden, experts});
    add_weights(static_cast<double>(experts) * of_one + of_all,
                static_cast<double>(met) * of_one + of_all);
  }

  // How far back layer `layer` looks; 0: all the way.
  [[nodiscard]] std::uint64_t window_of(std::uint64_t layer) {
    if (!windows_read_) read_windows();
    return window_ == 0 || !slides(layer) ? 0 : window_;
  }

  void finish() {
    const std::uint64_t vocabulary = config.count_or("vocab_size", 50257);
    const bool tied = config.flag_or("tie_word_embeddings", family.tied);
    const double embedding = product({vocabulary, hidden}) * (tied ? 1 : 2);
    shape.parameters += embedding;
    shape.active_parameters += embedding;
    shape.max_context = config.count_or({"max_position_embeddings", "n_positions"}, 0);
  }

 private:
  [[nodiscard]] bool has_experts(std::uint64_t layer) {
    const std::uint64_t step = config.count_or("decoder_sparse_step", 1);
    const std::uint64_t period = config.count_or({"expert_layer_period", "moe_layer_freq"}, 1);
    const std::uint64_t offset = config.number_or("expert_layer_offset", 0);
    const std::vector<std::uint64_t> dense = config.numbers("mlp_only_layers");
    return layer >= config.number_or("first_k_dense_replace", 0) && (layer + 1) % step == 0 &&
           layer % period == offset % period &&
           std::find(dense.begin(), dense.end(), layer) == dense.end();
  }

  void read_windows() {
    windows_read_ = true;
    window_ = config.number_or("sliding_window", 0);
    types_ = config.words("layer_types", layers,
                          {"full_attention", "sliding_attention", "linear_attention"});
    // qwen2 and qwen3 name a window that they do not use, and gemma3 may name its rhythm.
    uses_window_ = config.flag_or("use_sliding_window", family.windows != Windows::upper_layers);
    first_above_ = config.number_or("max_window_layers", layers);
    rhythm_ = config.count_or("sliding_window_pattern", 6);
    if (!types_.empty() && window_ == 0 &&
        std::find(types_.begin(), types_.end(), "sliding_attention") != types_.end()) {
      config.refuse("sliding_window", "the window's length, since layer_types has such layers");
    }
  }

  [[nodiscard]] bool slides(std::uint64_t layer) const {
    if (!uses_window_) return false;
    if (layer < types_.size()) return types_[layer] == "sliding_attention";
    switch (family.windows) {
      case Windows::none:
        return false;
      case Windows::every_layer:
        return true;
      case Windows::upper_layers:
        return layer >= first_above_;
      case Windows::every_other:
        return layer % 2 == 0;
      case Windows::all_but_each_sixth:
        return (layer + 1) % rhythm_ != 0;
    }
    return false;
  }

  bool windows_read_ = false;
  std::uint64_t window_ = 0;
  std::vector<std::string> types_;
  bool uses_window_ = true;
  std::uint64_t first_above_ = 0;
  std::uint64_t rhythm_ = 1;
};

// Attention and a feed-forward block in each layer, as in most families.
void read_decoder(Reading& model) {
  const std::uint64_t query_heads = model.config.count("num_attention_heads");
  const std::uint64_t heads = model.config.count_or("num_key_value_heads", query_heads);
  const std::uint64_t size =
      model.config.count_or("head_dim", std::max<std::uint64_t>(1, model.hidden / query_heads));
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    model.add_attention(query_heads, heads, size, model.window_of(layer));
    model.add_feed_forward(layer);
  }
}

// All heads share one head of keys and values, or a few do (the newer arrangement).
void read_falcon(Reading& model) {
  const std::uint64_t query_heads = model.config.count({"num_attention_heads", "n_head"});
  const std::uint64_t few = model.config.count_or({"num_kv_heads", "n_head_kv"}, query_heads);
  const bool newer = model.config.flag_or("new_decoder_architecture", false);
  const std::uint64_t heads = newer                                       ? few
                              : model.config.flag_or("multi_query", true) ? 1
                                                                          : query_heads;
  const std::uint64_t size = std::max<std::uint64_t>(1, model.hidden / query_heads);
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    model.add_attention(query_heads, heads, size, 0);
    model.add_feed_forward(layer);
  }
}

void read_gpt2(Reading& model) {
  const std::uint64_t heads = model.config.count("n_head");
  const std::uint64_t size = std::max<std::uint64_t>(1, model.hidden / heads);
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    model.add_attention(heads, heads, size, 0);
    model.add_feed_forward(layer);
  }
  // Positions are learnt.
  const double positions = product({model.config.count_or("n_positions", 1024), model.hidden});
  model.shape.parameters += positions;
  model.shape.active_parameters += positions;
}

// Multi-head latent attention: one compressed vector for keys and values of all heads, and one key
// that carries the position (DeepSeek-V2, https://arxiv.org/abs/2405.04434, section 2.1).
void read_latent(Reading& model) {
  const std::uint64_t query_heads = model.config.count("num_attention_heads");
  const std::uint64_t rank = model.config.count("kv_lora_rank");
  const std::uint64_t rope = model.config.count("qk_rope_head_dim");
  const std::uint64_t nope = model.config.count("qk_nope_head_dim");
  const std::uint64_t value = model.config.count("v_head_dim");
  const std::uint64_t query_rank = model.config.number_or("q_lora_rank", 0);
  LayerGroup group;
  group.kind = LayerKind::latent;
  group.layers = 1;
  group.elements = rank + rope;
  group.score_width = query_heads * (nope + rope + value);
  const double query = query_rank == 0 ? product({model.hidden, query_heads, nope + rope})
                                       : product({model.hidden, query_rank}) +
                                             product({query_rank, query_heads, nope + rope});
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    model.shape.add(group);
    model.add_weights(query + product({model.hidden, rank + rope}) +
                      product({rank, query_heads, nope + value}) +
                      product({query_heads, value, model.hidden}));
    model.add_feed_forward(layer);
  }
}

// What a state space layer keeps: the last inputs of its convolution at 16 bits, and its state at
// 32, as servers keep it by default.
void add_state_space(Reading& model, std::uint64_t inner, std::uint64_t state,
                     std::uint64_t convolution, std::uint64_t rank) {
  model.add_state(inner, inner * (2 * convolution + 4 * state));
  model.add_weights(product({model.hidden, 2 * inner}) + product({inner, convolution + 1}) +
                    product({inner, rank + 2 * state}) + product({rank + 1, inner}) +
                    product({inner, state + 1}) + product({inner, model.hidden}));
}

void read_mamba(Reading& model) {
  const std::uint64_t inner = model.config.count_or(
      {"intermediate_size", "d_inner"}, model.hidden * model.config.count_or("expand", 2));
  const std::uint64_t automatic = (model.hidden + 15) / 16;
  const std::uint64_t rank = model.config.says("time_step_rank", "auto")
                                 ? automatic
                                 : model.config.count_or("time_step_rank", automatic);
  const std::uint64_t state = model.config.count_or("state_size", 16);
  const std::uint64_t convolution = model.config.count_or("conv_kernel", 4);
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    add_state_space(model, inner, state, convolution, rank);
  }
}

// Attention in one layer of each period, state space in the others.
void read_jamba(Reading& model) {
  const std::uint64_t query_heads = model.config.count("num_attention_heads");
  const std::uint64_t heads = model.config.count_or("num_key_value_heads", query_heads);
  const std::uint64_t size = std::max<std::uint64_t>(1, model.hidden / query_heads);
  const std::uint64_t period = model.config.count("attn_layer_period");
  const std::uint64_t offset = model.config.number_or("attn_layer_offset", 0);
  const std::uint64_t inner = model.hidden * model.config.count_or("mamba_expand", 2);
  const std::uint64_t state = model.config.count_or("mamba_d_state", 16);
  const std::uint64_t convolution = model.config.count_or("mamba_d_conv", 4);
  const std::uint64_t rank = model.config.count_or("mamba_dt_rank", (model.hidden + 15) / 16);
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    if (layer % period == offset % period) {
      model.add_attention(query_heads, heads, size, 0);
    } else {
      add_state_space(model, inner, state, convolution, rank);
    }
    model.add_feed_forward(layer);
  }
}

// Gated attention in each fourth layer, a gated delta rule in the others: a matrix for each value
// head as state, at 32 bits.
void read_gated_delta(Reading& model) {
  ModelConfig& config = model.config;
  const std::uint64_t query_heads = config.count("num_attention_heads");
  const std::uint64_t heads = config.count_or("num_key_value_heads", query_heads);
  const std::uint64_t size =
      config.count_or("head_dim", std::max<std::uint64_t>(1, model.hidden / query_heads));
  const std::uint64_t interval = config.count_or("full_attention_interval", 4);
  const std::uint64_t value_heads = config.count("linear_num_value_heads");
  const std::uint64_t key_size = config.count("linear_key_head_dim");
  const std::uint64_t value_size = config.count("linear_value_head_dim");
  const std::uint64_t keys = config.count("linear_num_key_heads") * key_size;
  const std::uint64_t values = value_heads * value_size;
  const std::uint64_t convolution = config.count_or("linear_conv_kernel_dim", 4);
  const std::vector<std::string> types =
      config.words("layer_types", model.layers, {"full_attention", "linear_attention"});
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    const bool full =
        layer < types.size() ? types[layer] == "full_attention" : (layer + 1) % interval == 0;
    if (full) {
      model.add_attention(query_heads, heads, size, 0, 2);
    } else {
      model.add_state(value_heads, 4 * value_heads * key_size * value_size +
                                       2 * convolution * (2 * keys + values));
      model.add_weights(product({model.hidden, 2 * keys + 2 * values + 2 * value_heads}) +
                        product({convolution, 2 * keys + values}) +
                        product({values, model.hidden}));
    }
    model.add_feed_forward(layer);
  }
}

constexpr Family families[] = {
#define FAMILY(model_type, reader, windows, mlp, tied) \
  {#model_type, read_##reader, Windows::windows, mlp, tied},
#include "families.def"
#undef FAMILY
};

struct Precision {
  const char* word;
  double bits;
};

// How weights are kept. MXFP4: blocks of 32 values of 4 bits share a scale of 8 (OCP Microscaling
// Formats specification 1.0, table 1).
constexpr Precision quantizations[] = {{"fp8", 8}, {"fbgemm_fp8", 8}, {"mxfp4", 4.25}};
constexpr Precision precisions[] = {
    {"float32", 32}, {"float16", 16}, {"bfloat16", 16}, {"float8_e4m3fn", 8}};

double bits_a_weight(ModelConfig& config) {
  const nlohmann::json quantization = config.object("quantization_config");
  const auto method = quantization.find("quant_method");
  for (const Precision& known : quantizations) {
    if (method != quantization.end() && *method == known.word) return known.bits;
  }
  const auto bits = quantization.find("bits");
  if (bits != quantization.end() && bits->is_number()) {
    return std::clamp(bits->get<double>(), 1.0, 32.0);
  }
  const char* key = config.has("torch_dtype") ? "torch_dtype" : "dtype";
  const std::string word = config.text_or(key, "bfloat16");
  std::vector<std::string> accepted;
  for (const Precision& known : precisions) {
    if (word == known.word) return known.bits;
    accepted.emplace_back(known.word);
  }
  config.refuse(key, joined_with_or(accepted));
  return 16;
}

}  // namespace

std::vector<std::string> known_families() {
  std::vector<std::string> names;
  for (const Family& family : families) names.emplace_back(family.model_type);
  return names;
}

ShapeRead read_shape(ModelConfig config, const std::string& family) {
  const std::string type = !family.empty() ? family : config.text_or("model_type", "");
  const auto* known = std::find_if(std::begin(families), std::end(families),
                                   [&](const Family& one) { return type == one.model_type; });
  if (known == std::end(families)) {
    config.refuse("model_type",
                  joined_with_or(known_families()) + "; --family reads the file as one of these");
    return {{}, config.refusals()};
  }
  Reading model(config, *known);
  if (!model.plausible()) return {{}, config.refusals()};
  known->reader(model);
  model.finish();
  model.shape.family = type;
  model.shape.weight_bytes = std::ceil(model.shape.parameters * bits_a_weight(config) / 8);
  model.shape.weights_from = "estimated from config.json";
  std::vector<std::string> refusals = config.refusals();
  // What is read again for each layer is refused again.
  std::vector<std::string> once;
  for (std::string& one : refusals) {
    if (std::find(once.begin(), once.end(), one) == once.end()) once.push_back(std::move(one));
  }
  return {model.shape, once};
}

}  // namespace vhbm::plan
