// Four floats side by side: a SIMD register of a host, four registers of a GPU's thread. Arrays of
// Lanes stay in registers under both compilers, where arrays of floats would not.
#pragma once

#include "simgpu/kernel.h"

#ifdef __CUDACC__

struct Lanes {
  float4 value;
};
GPU_FUNCTION Lanes lanes_of(float x) {
  return {make_float4(x, x, x, x)};
}
GPU_FUNCTION Lanes load_lanes(const float* from) {
  return {*reinterpret_cast<const float4*>(from)};
}
GPU_FUNCTION void store_lanes(float* to, Lanes lanes) {
  *reinterpret_cast<float4*>(to) = lanes.value;
}
GPU_FUNCTION Lanes scaled(Lanes a, float b) {
  return {make_float4(a.value.x * b, a.value.y * b, a.value.z * b, a.value.w * b)};
}
GPU_FUNCTION Lanes sum(Lanes a, Lanes b) {
  return {make_float4(a.value.x + b.value.x, a.value.y + b.value.y, a.value.z + b.value.z,
                      a.value.w + b.value.w)};
}

#else

typedef float Lanes __attribute__((vector_size(16), may_alias));

GPU_FUNCTION Lanes lanes_of(float x) {
  return Lanes{x, x, x, x};
}
GPU_FUNCTION Lanes load_lanes(const float* from) {
  return *reinterpret_cast<const Lanes*>(from);
}
GPU_FUNCTION void store_lanes(float* to, Lanes lanes) {
  *reinterpret_cast<Lanes*>(to) = lanes;
}
GPU_FUNCTION Lanes scaled(Lanes a, float b) {
  return a * b;
}
GPU_FUNCTION Lanes sum(Lanes a, Lanes b) {
  return a + b;
}

#endif

// sums += weight * values, for `count` times four floats.
template <int count>
GPU_FUNCTION void add_scaled(Lanes* sums, const float* values, float weight) {
  for (int i = 0; i < count; ++i) {
    sums[i] = sum(sums[i], scaled(load_lanes(values + 4 * i), weight));
  }
}
