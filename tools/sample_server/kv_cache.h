// The KV blocks in GPU memory, zero-filled at the start: one tensor for each layer, or one in which
// all layers of a block lie together.
#pragma once

#include <string>
#include <vector>

#include "device_buffer.h"
#include "model_shape.h"

namespace sample_server {

class KvCache {
 public:
  KvCache(Gpu& gpu, Stream stream, const ModelShape& model, const KvShape& kv)
      : floats_per_block_(2 * model.hidden() * kv.block_tokens),
        layout_(kv.layout),
        layers_(model.layers) {
    const bool per_layer = layout_ == KvLayout::per_layer;
    const std::size_t bytes = kv.blocks * block_stride() * sizeof(float);
    for (std::size_t i = 0; i < (per_layer ? layers_ : 1); ++i) {
      tensors_.emplace_back(
          gpu, bytes, per_layer ? "the KV of layer " + std::to_string(i) : "the KV of all layers");
      gpu.fill_zero(tensors_.back().address(), bytes, stream);
    }
  }

  DeviceAddress layer(std::size_t layer) const {
    if (layout_ == KvLayout::per_layer) return tensors_[layer].address();
    return tensors_[0].address() + layer * floats_per_block_ * sizeof(float);
  }
  // Floats from a block of a layer to the next block of that layer.
  std::size_t block_stride() const {
    return layout_ == KvLayout::per_layer ? floats_per_block_ : layers_ * floats_per_block_;
  }
  std::size_t bytes() const { return tensors_.size() * tensors_[0].bytes(); }

 private:
  std::size_t floats_per_block_;
  KvLayout layout_;
  std::size_t layers_;
  std::vector<DeviceBuffer> tensors_;
};

}  // namespace sample_server
