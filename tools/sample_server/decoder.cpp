#include "decoder.h"

#include <algorithm>
#include <bit>

#include "sample_server_kernels.h"

namespace sample_server {
namespace {

constexpr std::size_t tile = 32;            // columns that a thread computes, as in decoder.cu
constexpr unsigned threads_per_block = 64;  // but choose_token's, which are 256

}  // namespace

Decoder::Decoder(Gpu& gpu, const ModelShape& shape, const StepShape& step, const Weights& weights,
                 const KvCache& kv, const StepInputs& inputs, const Workspace& workspace,
                 GraphMode graphs)
    : gpu_(gpu),
      shape_(shape),
      step_(step),
      weights_(weights),
      kv_(kv),
      batch_(inputs.batch()),
      graph_mode_(graphs),
      workspace_(workspace) {
  gpu.load(sample_server_kernels_images());
  kernels_ = {gpu.kernel("embed"),
              gpu.kernel("rms_norm"),
              gpu.kernel("linear"),
              gpu.kernel("store_kv"),
              gpu.kernel("attention_" + std::to_string(shape.head_size)),
              gpu.kernel("expert_up"),
              gpu.kernel("expert_down"),
              gpu.kernel("choose_token")};
}

// The arguments' types are those of the kernel's parameters, addresses standing for pointers.
template <typename... Args>
void Decoder::launch(Kernel kernel, std::size_t threads, unsigned block, Stream stream,
                     Args... args) {
  void* parameters[] = {&args...};
  const auto blocks = static_cast<unsigned>((threads + block - 1) / block);
  gpu_.launch(kernel, std::max(1U, blocks), block, parameters, stream);
}

void Decoder::linear(DeviceAddress output, DeviceAddress input, DeviceAddress weights,
                     std::size_t inputs, std::size_t columns, bool accumulate, Stream stream,
                     std::size_t rows) {
  const int count = output == workspace_.logits ? 1 : 0;
  launch(kernels_.linear, rows * columns / tile, threads_per_block, stream, output, input, weights,
         static_cast<int>(inputs), static_cast<int>(columns), accumulate ? 1 : 0, count, batch_);
}

void Decoder::enqueue_begin(std::size_t rows, Stream stream) {
  launch(kernels_.embed, rows * shape_.hidden() / tile, threads_per_block, stream, workspace_.state,
         weights_.embedding(), static_cast<int>(shape_.hidden()), batch_);
}

void Decoder::enqueue_layer(std::size_t layer, std::size_t rows, Stream stream) {
  const std::size_t hidden = shape_.hidden();
  const int hidden_int = static_cast<int>(hidden);
  const int experts = static_cast<int>(shape_.experts);
  const int expert_size = static_cast<int>(shape_.expert_size);
  const int layer_int = static_cast<int>(layer);
  const std::size_t row_heads = rows * shape_.heads;
  const auto block_stride = static_cast<unsigned long long>(kv_.block_stride());
  const DeviceAddress every_row = 0;

  launch(kernels_.rms_norm, rows, threads_per_block, stream, workspace_.norm, workspace_.state,
         weights_.attention_gain(layer), every_row, hidden_int, batch_);
  linear(workspace_.projected, workspace_.norm, weights_.query_key_value(layer), hidden, 3 * hidden,
         false, stream, rows);
  launch(kernels_.store_kv, row_heads, threads_per_block, stream, kv_.layer(layer),
         workspace_.projected, hidden_int, static_cast<int>(shape_.head_size), block_stride,
         batch_);
  // One head of threads_per_block rows a block.
  const std::size_t row_groups = (rows + threads_per_block - 1) / threads_per_block;
  launch(kernels_.attention, row_groups * threads_per_block * shape_.heads, threads_per_block,
         stream, workspace_.mixed, workspace_.projected, kv_.layer(layer),
         static_cast<int>(shape_.heads), block_stride, batch_);
  linear(workspace_.state, workspace_.mixed, weights_.projection(layer), hidden, hidden, true,
         stream, rows);

  launch(kernels_.rms_norm, rows, threads_per_block, stream, workspace_.norm, workspace_.state,
         weights_.expert_gain(layer), every_row, hidden_int, batch_);
  launch(kernels_.expert_up, rows * shape_.expert_size / tile, threads_per_block, stream,
         workspace_.inner, workspace_.norm, weights_.expert_up(layer), hidden_int, expert_size,
         experts, layer_int, batch_);
  launch(kernels_.expert_down, rows * hidden / tile, threads_per_block, stream, workspace_.state,
         workspace_.inner, weights_.expert_down(layer), hidden_int, expert_size, experts, layer_int,
         batch_);
}

void Decoder::enqueue_end(std::size_t logit_rows, Stream stream) {
  launch(kernels_.rms_norm, logit_rows, threads_per_block, stream, workspace_.norm,
         workspace_.state, weights_.final_gain(), reinterpret_cast<DeviceAddress>(batch_.logit_row),
         static_cast<int>(shape_.hidden()), batch_);
  linear(workspace_.logits, workspace_.norm, weights_.logits(), shape_.hidden(), shape_.vocabulary,
         false, stream, logit_rows);
  launch(kernels_.choose_token, logit_rows * 256, 256, stream, workspace_.next_tokens,
         workspace_.logits, static_cast<int>(shape_.vocabulary), batch_);
}

void Decoder::enqueue_all(std::size_t rows, std::size_t logit_rows, Stream stream) {
  enqueue_begin(rows, stream);
  for (std::size_t layer = 0; layer < shape_.layers; ++layer) enqueue_layer(layer, rows, stream);
  enqueue_end(logit_rows, stream);
}

// Graphs are made for a power of two of rows, or the step's limit, when first needed; and for all
// sequences' logits. Kernels see the true counts in device memory.
template <typename Enqueue>
void Decoder::replay(std::size_t part, std::size_t bucket, Stream stream, Enqueue enqueue) {
  const auto [found, missing] = graphs_.try_emplace({part, bucket}, nullptr);
  if (missing) {
    gpu_.begin_capture(stream);
    enqueue(bucket);
    found->second = gpu_.end_capture(stream);
  }
  gpu_.launch(found->second, stream);
}

void Decoder::enqueue_step(std::size_t rows, std::size_t logit_rows, Stream stream) {
  const std::size_t bucket = std::min(std::bit_ceil(rows), step_.rows);
  switch (graph_mode_) {
    case GraphMode::none:
      enqueue_all(rows, logit_rows, stream);
      return;
    case GraphMode::layer:
      enqueue_begin(rows, stream);
      for (std::size_t layer = 0; layer < shape_.layers; ++layer) {
        replay(layer, bucket, stream,
               [&](std::size_t padded) { enqueue_layer(layer, padded, stream); });
      }
      enqueue_end(logit_rows, stream);
      return;
    case GraphMode::step:
      replay(0, bucket, stream,
             [&](std::size_t padded) { enqueue_all(padded, step_.sequences, stream); });
      return;
  }
}

}  // namespace sample_server
