// Servers load weights once and then only read them; make their KV cache of equal large tensors
// that kernels fill little by little; and rewrite workspaces all the time.
#include "policies/tagging.h"

namespace vhbm {
namespace {

bool most_of(Bytes part, Bytes whole) {
  return part.value >= whole.value / 10 * 9;
}
bool little_of(Bytes part, Bytes whole) {
  return part.value <= whole.value / 10;
}

}  // namespace

TagGuess guess_tag(const RegionHistory& history) {
  const bool used = history.rounds_used > 0;
  const bool changes = history.chunks_changed > history.chunks_unchanged;
  if (most_of(history.filled_before_use, history.size) &&
      little_of(history.filled_in_use, history.size)) {
    if (changes) return {Tag::workspace, 40, "filled from the host once, and changed by kernels"};
    if (!used) return {Tag::weights, 50, "filled from the host, and not used yet"};
    if (history.chunks_unchanged == 0) {
      return {Tag::weights, 70, "filled from the host before its first kernel"};
    }
    return {Tag::weights, 90, "filled from the host, and only read since"};
  }
  if (!used) return {};
  if (history.filled_in_use >= history.size || (changes && history.of_equal_size < 2)) {
    return {Tag::workspace, 60, "rewritten while it is in use"};
  }
  if (little_of(history.filled_before_use, history.size) && history.of_equal_size >= 2) {
    if (most_of(history.zeroed, history.size)) {
      return {Tag::kv, 70, "one of several equal regions, zeroed and then written by kernels"};
    }
    return {Tag::kv, 50, "one of several equal regions, written by kernels only"};
  }
  return {};
}

}  // namespace vhbm
