#include "model_shape.h"

#include <algorithm>

namespace vhbm::plan {

const char* name_of(LayerKind kind) {
  switch (kind) {
    case LayerKind::attention:
      return "attention";
    case LayerKind::sliding:
      return "sliding window";
    case LayerKind::latent:
      return "latent (MLA)";
    case LayerKind::recurrent:
      return "recurrent";
  }
  return "";
}

void ModelShape::add(const LayerGroup& group) {
  for (LayerGroup& known : groups) {
    LayerGroup alike = group;
    alike.layers = known.layers;
    if (known == alike) {
      known.layers += group.layers;
      return;
    }
  }
  groups.push_back(group);
}

double kv_bytes(const LayerGroup& group, std::uint64_t tokens, unsigned bits, unsigned gpus) {
  const std::uint64_t kept = group.window == 0 ? tokens : std::min(tokens, group.window);
  const double copies = std::max(1.0, static_cast<double>(gpus) / static_cast<double>(group.heads));
  const double of_tokens =
      static_cast<double>(kept) * static_cast<double>(group.elements) * bits / 8;
  return static_cast<double>(group.layers) *
         (of_tokens * copies + static_cast<double>(group.state_bytes));
}

double kv_bytes(const ModelShape& shape, std::uint64_t tokens, unsigned bits, unsigned gpus) {
  double sum = 0;
  for (const LayerGroup& group : shape.groups) sum += kv_bytes(group, tokens, bits, gpus);
  return sum;
}

double kv_bytes_per_token(const ModelShape& shape, unsigned bits) {
  double sum = 0;
  for (const LayerGroup& group : shape.groups) {
    if (group.window != 0) continue;
    sum += static_cast<double>(group.layers) * static_cast<double>(group.elements) * bits / 8;
  }
  return sum;
}

double prefill_operations(const ModelShape& shape, std::uint64_t tokens) {
  const auto n = static_cast<double>(tokens);
  double sum = 2 * shape.matrix_parameters * n;
  for (const LayerGroup& group : shape.groups) {
    // Token i sees itself and those before it, as far as the window reaches.
    const double window = group.window == 0 ? n : std::min(n, static_cast<double>(group.window));
    const double pairs = window * (window + 1) / 2 + (n - window) * window;
    sum += 2 * static_cast<double>(group.layers) * static_cast<double>(group.score_width) * pairs;
  }
  return sum;
}

}  // namespace vhbm::plan
