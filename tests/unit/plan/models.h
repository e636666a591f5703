// The parts of published config.json files that say what a model is made of. Each is to be found at
// https://huggingface.co/<name>/blob/main/config.json.
#pragma once

namespace vhbm::plan {

// meta-llama/Meta-Llama-3-8B
inline constexpr const char* llama_3_8b = R"({
  "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
  "max_position_embeddings": 8192, "num_attention_heads": 32, "num_hidden_layers": 32,
  "num_key_value_heads": 8, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "vocab_size": 128256})";
// meta-llama/Llama-3.1-405B
inline constexpr const char* llama_3_405b = R"({
  "model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
  "num_attention_heads": 128, "num_hidden_layers": 126, "num_key_value_heads": 8,
  "torch_dtype": "bfloat16", "vocab_size": 128256})";
// Qwen/Qwen2.5-72B
inline constexpr const char* qwen_2_5_72b = R"({
  "model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 29568, "max_window_layers": 80,
  "num_attention_heads": 64, "num_hidden_layers": 80, "num_key_value_heads": 8,
  "sliding_window": 131072, "use_sliding_window": false, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "vocab_size": 152064})";
// deepseek-ai/DeepSeek-V3
inline constexpr const char* deepseek_v3 = R"({
  "model_type": "deepseek_v3", "first_k_dense_replace": 3, "hidden_size": 7168,
  "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840,
  "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_routed_experts": 256,
  "n_shared_experts": 1, "num_attention_heads": 128, "num_experts_per_tok": 8,
  "num_hidden_layers": 61, "num_key_value_heads": 128, "q_lora_rank": 1536,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
  "quantization_config": {"quant_method": "fp8"}, "torch_dtype": "bfloat16",
  "tie_word_embeddings": false, "vocab_size": 129280})";
// mistralai/Mistral-7B-v0.1
inline constexpr const char* mistral_7b = R"({
  "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336,
  "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
  "sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "vocab_size": 32000})";
// mistralai/Mixtral-8x7B-v0.1
inline constexpr const char* mixtral_8x7b = R"({
  "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
  "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
  "num_experts_per_tok": 2, "num_local_experts": 8, "sliding_window": null,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32000})";
// google/gemma-3-27b-it
inline constexpr const char* gemma_3_27b = R"({
  "model_type": "gemma3", "torch_dtype": "bfloat16", "text_config": {
    "model_type": "gemma3_text", "head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504,
    "num_attention_heads": 32, "num_hidden_layers": 62, "num_key_value_heads": 16,
    "sliding_window": 1024, "vocab_size": 262208}})";
// openai/gpt-oss-120b, its layer_types written shorter by the test
inline constexpr const char* gpt_oss_120b = R"({
  "model_type": "gpt_oss", "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
  "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 36,
  "num_key_value_heads": 8, "num_local_experts": 128, "sliding_window": 128,
  "quantization_config": {"quant_method": "mxfp4"}, "tie_word_embeddings": false,
  "vocab_size": 201088})";
// openai-community/gpt2-xl
inline constexpr const char* gpt2_xl = R"({
  "model_type": "gpt2", "n_ctx": 1024, "n_embd": 1600, "n_head": 25, "n_layer": 48,
  "n_positions": 1024, "vocab_size": 50257})";
// microsoft/phi-2
inline constexpr const char* phi_2 = R"({
  "model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240,
  "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
  "tie_word_embeddings": false, "torch_dtype": "float16", "vocab_size": 51200})";
// tiiuae/falcon-7b
inline constexpr const char* falcon_7b = R"({
  "model_type": "falcon", "hidden_size": 4544, "multi_query": true,
  "new_decoder_architecture": false, "num_attention_heads": 71, "num_hidden_layers": 32,
  "torch_dtype": "bfloat16", "vocab_size": 65024})";
// state-spaces/mamba-2.8b-hf
inline constexpr const char* mamba_2_8b = R"({
  "model_type": "mamba", "hidden_size": 2560, "intermediate_size": 5120, "conv_kernel": 4,
  "expand": 2, "num_hidden_layers": 64, "state_size": 16, "time_step_rank": 160,
  "torch_dtype": "float32", "vocab_size": 50280})";
// ai21labs/Jamba-v0.1
inline constexpr const char* jamba = R"({
  "model_type": "jamba", "attn_layer_offset": 4, "attn_layer_period": 8,
  "expert_layer_offset": 1, "expert_layer_period": 2, "hidden_size": 4096,
  "intermediate_size": 14336, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_dt_rank": 256,
  "mamba_expand": 2, "num_attention_heads": 32, "num_experts": 16, "num_experts_per_tok": 2,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "vocab_size": 65536})";
// Qwen/Qwen3-Next-80B-A3B-Instruct
inline constexpr const char* qwen_3_next = R"({
  "model_type": "qwen3_next", "decoder_sparse_step": 1, "full_attention_interval": 4,
  "head_dim": 256, "hidden_size": 2048, "intermediate_size": 5120, "linear_conv_kernel_dim": 4,
  "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
  "linear_value_head_dim": 128, "mlp_only_layers": [], "moe_intermediate_size": 512,
  "num_attention_heads": 16, "num_experts": 512, "num_experts_per_tok": 10,
  "num_hidden_layers": 48, "num_key_value_heads": 2, "shared_expert_intermediate_size": 512,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 151936})";

}  // namespace vhbm::plan
