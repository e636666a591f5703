#include "weights.h"

#include <cmath>
#include <numeric>

#include "random_bits.h"

namespace sample_server {
namespace {

std::size_t dense_floats(const ModelShape& shape) {
  const std::size_t hidden = shape.hidden();
  return 2 * shape.vocabulary * hidden + shape.layers * (4 * hidden * hidden + 2 * hidden) + hidden;
}

// Appends tensors one after the other, and remembers where they will lie on the GPU.
class TensorWriter {
 public:
  TensorWriter(std::uint64_t seed, DeviceAddress address) : seed_(seed), address_(address) {}

  // Uniform in ±spread around `mean`.
  DeviceAddress add(std::size_t count, float mean, float spread) {
    const DeviceAddress begin = address_ + values_.size() * sizeof(float);
    for (std::size_t i = 0; i < count; ++i) {
      const auto bits = static_cast<float>(random_bits(seed_, values_.size()) >> 40);
      values_.push_back(mean + spread * (bits * 0x1p-23f - 1.0f));
    }
    return begin;
  }
  void upload(Gpu& gpu) const {
    gpu.upload(address_, values_.data(), values_.size() * sizeof(float));
  }

 private:
  std::uint64_t seed_;
  DeviceAddress address_;
  std::vector<float> values_;
};

// Keeps the variance of what it is multiplied with.
float spread_for(std::size_t inputs) {
  return std::sqrt(3.0f / static_cast<float>(inputs));
}

}  // namespace

Weights::Weights(Gpu& gpu, const ModelShape& shape, std::uint64_t seed)
    : dense_(gpu, dense_floats(shape) * sizeof(float), "the dense weights") {
  const std::size_t hidden = shape.hidden();
  TensorWriter dense(random_bits(seed, 0), dense_.address());
  dense.add(shape.vocabulary * hidden, 0.0f, 1.0f);
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    LayerAddresses addresses{};
    addresses.attention_gain = dense.add(hidden, 1.0f, 0.1f);
    addresses.query_key_value = dense.add(3 * hidden * hidden, 0.0f, spread_for(hidden));
    addresses.projection = dense.add(hidden * hidden, 0.0f, spread_for(hidden));
    addresses.expert_gain = dense.add(hidden, 1.0f, 0.1f);
    layers_.push_back(addresses);
  }
  final_gain_ = dense.add(hidden, 1.0f, 0.1f);
  logits_ = dense.add(shape.vocabulary * hidden, 0.0f, spread_for(hidden));
  dense.upload(gpu);

  const std::size_t expert_floats = shape.experts * hidden * shape.expert_size;
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    const std::string of_layer = " weights of layer " + std::to_string(layer);
    up_.emplace_back(gpu, expert_floats * sizeof(float), "the experts' up" + of_layer);
    TensorWriter up(random_bits(seed, 2 * layer + 1), up_.back().address());
    up.add(expert_floats, 0.0f, spread_for(hidden));
    up.upload(gpu);
    down_.emplace_back(gpu, expert_floats * sizeof(float), "the experts' down" + of_layer);
    TensorWriter down(random_bits(seed, 2 * layer + 2), down_.back().address());
    down.add(expert_floats, 0.0f, spread_for(shape.expert_size));
    down.upload(gpu);
  }
}

std::size_t Weights::bytes() const {
  const auto add = [](std::size_t sum, const DeviceBuffer& buffer) { return sum + buffer.bytes(); };
  return std::accumulate(down_.begin(), down_.end(),
                         std::accumulate(up_.begin(), up_.end(), dense_.bytes(), add), add);
}

}  // namespace sample_server
