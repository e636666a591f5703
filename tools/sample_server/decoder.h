// The decoder: enqueues one step's kernels, eagerly or as graphs captured for buckets of rows.
// A step's results lie in the workspace's logits and next_tokens once the stream has done it.
#pragma once

#include <map>
#include <utility>

#include "gpu.h"
#include "kv_cache.h"
#include "step_inputs.h"
#include "weights.h"
#include "workspace.h"

namespace sample_server {

enum class GraphMode { none, layer, step };

class Decoder {
 public:
  Decoder(Gpu& gpu, const ModelShape& shape, const StepShape& step, const Weights& weights,
          const KvCache& kv, const StepInputs& inputs, const Workspace& workspace,
          GraphMode graphs);

  // Computes what the inputs on the GPU ask for; `rows` and `logit_rows` as they say.
  void enqueue_step(std::size_t rows, std::size_t logit_rows, Stream stream);

  std::size_t graph_count() const { return graphs_.size(); }

 private:
  struct Kernels {
    Kernel embed, rms_norm, linear, store_kv, attention, expert_up, expert_down, choose_token;
  };
  template <typename... Args>
  void launch(Kernel kernel, std::size_t threads, unsigned block, Stream stream, Args... args);
  void linear(DeviceAddress output, DeviceAddress input, DeviceAddress weights, std::size_t inputs,
              std::size_t columns, bool accumulate, Stream stream, std::size_t rows);

  void enqueue_begin(std::size_t rows, Stream stream);
  void enqueue_layer(std::size_t layer, std::size_t rows, Stream stream);
  void enqueue_end(std::size_t logit_rows, Stream stream);
  void enqueue_all(std::size_t rows, std::size_t logit_rows, Stream stream);
  template <typename Enqueue>
  void replay(std::size_t part, std::size_t bucket, Stream stream, Enqueue enqueue);

  Gpu& gpu_;
  ModelShape shape_;
  StepShape step_;
  const Weights& weights_;
  const KvCache& kv_;
  DecoderBatch batch_;
  GraphMode graph_mode_;
  Kernels kernels_{};
  const Workspace& workspace_;
  std::map<std::pair<std::size_t, std::size_t>, Graph> graphs_;  // by part and bucket
};

}  // namespace sample_server
