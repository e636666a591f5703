// What a step takes in: filled by the host in page-locked memory, copied to the same addresses on
// the GPU before each step.
#pragma once

#include <span>

#include "decoder_batch.h"
#include "device_buffer.h"
#include "kv_manager.h"
#include "model_shape.h"

namespace sample_server {

class StepInputs {
 public:
  StepInputs(Gpu& gpu, const StepShape& shape, std::size_t block_tokens);

  void clear() { host_[0] = host_[1] = 0; }

  // Rows of the sequence in line `line` of the block table.
  void add_row(TokenId token, std::size_t position, std::size_t line);
  void set_blocks(std::size_t line, std::span<const BlockId> blocks);
  // The row added last yields logits; returns their index among this step's.
  std::size_t want_logits();

  std::size_t rows() const { return static_cast<std::size_t>(host_[0]); }
  std::size_t logit_rows() const { return static_cast<std::size_t>(host_[1]); }

  // Copies in, of the block table its first `lines` lines.
  void copy_in(Gpu& gpu, Stream stream, std::size_t lines);

  DecoderBatch batch() const;
  std::size_t bytes() const { return device_.bytes(); }

 private:
  std::size_t tokens_, positions_, lines_, logit_rows_, table_;  // where the arrays start, in ints
  StepShape shape_;
  std::size_t block_tokens_;
  PinnedArray<int> host_;
  DeviceBuffer device_;
};

}  // namespace sample_server
