// What a model costs, as numbers: what its layers keep of each token and of each session, and what
// has to be computed. Values and formulas; reads nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vhbm::plan {

// What a layer keeps of the tokens before: keys and values of all of them, those of a window, one
// compressed vector for keys and values (MLA), or a state of constant size.
enum class LayerKind { attention, sliding, latent, recurrent };

[[nodiscard]] const char* name_of(LayerKind kind);

// Layers that are alike.
struct LayerGroup {
  LayerKind kind = LayerKind::attention;
  std::uint64_t layers = 0;
  std::uint64_t heads = 1;        // that several GPUs can divide between them
  std::uint64_t elements = 0;     // kept of one token in one layer
  std::uint64_t planes = 1;       // in how many arrays they lie: keys and values apart are two
  std::uint64_t window = 0;       // how many tokens are kept at most; 0: all
  std::uint64_t state_bytes = 0;  // kept of a session in one layer, however long it is
  // Multiply-adds of attention for one pair of tokens in one layer: heads × (key + value size).
  std::uint64_t score_width = 0;

  bool operator==(const LayerGroup&) const = default;
};

struct ModelShape {
  std::string name;
  std::string family;
  std::vector<LayerGroup> groups;
  double parameters = 0;         // all of them; 0: not known
  double active_parameters = 0;  // that one token meets
  double matrix_parameters =
      0;                     // of those, in the layers: what a token of a prompt multiplies with
  double weight_bytes = 0;   // 0: not known
  std::string weights_from;  // where weight_bytes comes from, for a person
  std::uint64_t max_context = 0;  // 0: the model does not say

  void add(const LayerGroup& group);
};

// What one session keeps at that length. `gpus` share it by heads; what cannot be divided is there
// on each of them, so the sum over all is meant.
[[nodiscard]] double kv_bytes(const LayerGroup& group, std::uint64_t tokens, unsigned bits,
                              unsigned gpus);
[[nodiscard]] double kv_bytes(const ModelShape& shape, std::uint64_t tokens, unsigned bits,
                              unsigned gpus = 1);
// What one more token adds to a session that is longer than every window.
[[nodiscard]] double kv_bytes_per_token(const ModelShape& shape, unsigned bits);

// Floating-point operations that compute a session of that length anew: two for each parameter in
// the layers and token, and attention over every pair of tokens that see each other.
[[nodiscard]] double prefill_operations(const ModelShape& shape, std::uint64_t tokens);

}  // namespace vhbm::plan
