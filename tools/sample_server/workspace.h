// The decoder's scratch memory: one allocation, cut into arrays that every step overwrites.
#pragma once

#include <utility>

#include "device_buffer.h"
#include "model_shape.h"

namespace sample_server {

class Workspace {
 public:
  Workspace(Gpu& gpu, const ModelShape& shape, const StepShape& step)
      : buffer_(gpu, place(shape, step, 0), "the workspace") {
    place(shape, step, buffer_.address());
  }
  std::size_t bytes() const { return buffer_.bytes(); }

  // A line for each row of a step:
  DeviceAddress state = 0;
  DeviceAddress norm = 0;
  DeviceAddress projected = 0;  // query, key, value
  DeviceAddress mixed = 0;      // what attention made of the values
  DeviceAddress inner = 0;      // of the row's expert
  // A line for each row whose logits are wanted:
  DeviceAddress logits = 0;
  DeviceAddress next_tokens = 0;

 private:
  static constexpr std::size_t alignment = 256;  // bytes

  // Lays the arrays out from `begin`; returns how many bytes they take.
  std::size_t place(const ModelShape& shape, const StepShape& step, DeviceAddress begin) {
    const std::size_t hidden = shape.hidden();
    DeviceAddress next = begin;
    const auto take = [&](std::size_t floats) {
      const std::size_t bytes = (floats * sizeof(float) + alignment - 1) / alignment * alignment;
      return std::exchange(next, next + bytes);
    };
    state = take(step.rows * hidden);
    norm = take(step.rows * hidden);
    projected = take(step.rows * 3 * hidden);
    mixed = take(step.rows * hidden);
    inner = take(step.rows * shape.expert_size);
    logits = take(step.sequences * shape.vocabulary);
    next_tokens = take(step.sequences);
    return next - begin;
  }

  DeviceBuffer buffer_;
};

}  // namespace sample_server
