#include "step_inputs.h"

#include <algorithm>

namespace sample_server {
namespace {

constexpr std::size_t counts_ints = 2;

std::size_t total_ints(const StepShape& shape) {
  return counts_ints + 3 * shape.rows + shape.sequences * (1 + shape.table_blocks);
}

}  // namespace

StepInputs::StepInputs(Gpu& gpu, const StepShape& shape, std::size_t block_tokens)
    : tokens_(counts_ints),
      positions_(tokens_ + shape.rows),
      lines_(positions_ + shape.rows),
      logit_rows_(lines_ + shape.rows),
      table_(logit_rows_ + shape.sequences),
      shape_(shape),
      block_tokens_(block_tokens),
      host_(gpu, total_ints(shape), "a step's inputs"),
      device_(gpu, total_ints(shape) * sizeof(int), "a step's inputs") {
  clear();
}

void StepInputs::add_row(TokenId token, std::size_t position, std::size_t line) {
  const auto row = static_cast<std::size_t>(host_[0]++);
  host_[tokens_ + row] = token;
  host_[positions_ + row] = static_cast<int>(position);
  host_[lines_ + row] = static_cast<int>(line);
}

void StepInputs::set_blocks(std::size_t line, std::span<const BlockId> blocks) {
  const std::size_t used = std::min(blocks.size(), shape_.table_blocks);
  std::copy_n(blocks.begin(), used, host_.data() + table_ + line * shape_.table_blocks);
}

std::size_t StepInputs::want_logits() {
  const auto index = static_cast<std::size_t>(host_[1]++);
  host_[logit_rows_ + index] = host_[0] - 1;
  return index;
}

void StepInputs::copy_in(Gpu& gpu, Stream stream, std::size_t lines) {
  gpu.copy_in(device_.address(), host_.data(), table_ * sizeof(int), stream);
  gpu.copy_in(device_.address() + table_ * sizeof(int), host_.data() + table_,
              lines * shape_.table_blocks * sizeof(int), stream);
}

DecoderBatch StepInputs::batch() const {
  const auto at = [&](std::size_t ints) {
    return reinterpret_cast<const int*>(device_.address() + ints * sizeof(int));
  };
  return {at(0),
          at(tokens_),
          at(positions_),
          at(lines_),
          at(logit_rows_),
          at(table_),
          static_cast<int>(shape_.table_blocks),
          static_cast<int>(block_tokens_)};
}

}  // namespace sample_server
