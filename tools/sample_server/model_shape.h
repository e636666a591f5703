// The sizes of the decoder and of its KV cache. Everything in GPU memory is float32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sample_server {

enum class KvLayout { per_layer, cross_layer };

struct ModelShape {
  std::size_t layers = 4;
  std::size_t heads = 4;
  std::size_t head_size = 16;
  std::size_t experts = 256;      // of a layer; a token uses one
  std::size_t expert_size = 128;  // its inner dimension
  std::size_t vocabulary = 8192;

  std::size_t hidden() const { return heads * head_size; }
  std::size_t kv_bytes_per_token() const { return layers * 2 * hidden() * sizeof(float); }
};

struct KvShape {
  KvLayout layout = KvLayout::per_layer;
  std::size_t block_tokens = 16;
  std::size_t blocks = 0;
};

// The most that one step computes.
struct StepShape {
  std::size_t rows;          // tokens
  std::size_t sequences;     // also the most rows whose logits are wanted
  std::size_t table_blocks;  // of one sequence
};

}  // namespace sample_server
