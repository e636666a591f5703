// The decoder's weights: made from a seed on the host, uploaded once, only read afterwards. One
// tensor for what every token passes through, and two for each layer's experts.
#pragma once

#include <cstdint>
#include <vector>

#include "device_buffer.h"
#include "model_shape.h"

namespace sample_server {

class Weights {
 public:
  Weights(Gpu& gpu, const ModelShape& shape, std::uint64_t seed);

  // Addresses inside the dense tensor.
  DeviceAddress embedding() const { return dense_.address(); }
  DeviceAddress attention_gain(std::size_t layer) const { return at(layer).attention_gain; }
  DeviceAddress query_key_value(std::size_t layer) const { return at(layer).query_key_value; }
  DeviceAddress projection(std::size_t layer) const { return at(layer).projection; }
  DeviceAddress expert_gain(std::size_t layer) const { return at(layer).expert_gain; }
  DeviceAddress final_gain() const { return final_gain_; }
  DeviceAddress logits() const { return logits_; }

  DeviceAddress expert_up(std::size_t layer) const { return up_[layer].address(); }
  DeviceAddress expert_down(std::size_t layer) const { return down_[layer].address(); }

  std::size_t bytes() const;

 private:
  struct LayerAddresses {
    DeviceAddress attention_gain, query_key_value, projection, expert_gain;
  };
  const LayerAddresses& at(std::size_t layer) const { return layers_[layer]; }

  DeviceBuffer dense_;
  std::vector<LayerAddresses> layers_;
  DeviceAddress final_gain_ = 0;
  DeviceAddress logits_ = 0;
  std::vector<DeviceBuffer> up_, down_;
};

}  // namespace sample_server
