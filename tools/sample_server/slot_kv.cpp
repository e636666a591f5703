#include "slot_kv.h"

#include <algorithm>

namespace sample_server {

SlotKv::SlotKv(std::size_t blocks, std::size_t block_tokens, std::size_t slots)
    : slots_(slots), slot_tokens_(blocks / slots * block_tokens) {
  BlockId next = 0;
  for (Slot& slot : slots_) {
    for (std::size_t i = 0; i < blocks / slots; ++i) slot.blocks.push_back(next++);
  }
}

SlotKv::Choice SlotKv::choose(std::span<const TokenId> tokens) const {
  Choice most_alike, oldest;
  for (const Slot& slot : slots_) {
    if (slot.in_use) continue;
    const auto differ =
        std::mismatch(tokens.begin(), tokens.end(), slot.tokens.begin(), slot.tokens.end());
    const auto shared = static_cast<std::size_t>(differ.first - tokens.begin());
    const auto index = static_cast<std::size_t>(&slot - slots_.data());
    const Choice choice{index, std::min(shared, tokens.size() - 1)};
    if (!most_alike.slot || choice.shared > most_alike.shared) most_alike = choice;
    if (!oldest.slot || slot.last_used < slots_[*oldest.slot].last_used) oldest = choice;
  }
  return most_alike.shared * 10 > tokens.size() ? most_alike : oldest;
}

std::size_t SlotKv::cached_prefix(std::span<const TokenId> tokens) const {
  return choose(tokens).shared;
}

bool SlotKv::admit(SequenceId sequence, std::span<const TokenId> tokens, std::size_t /*cached*/,
                   std::size_t end) {
  const Choice choice = choose(tokens);
  if (!choice.slot || end > slot_tokens_) return false;
  Slot& slot = slots_[*choice.slot];
  slot.in_use = true;
  slot.sequence = sequence;
  slot.tokens.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(end));
  return true;
}

bool SlotKv::grow(SequenceId sequence, std::span<const TokenId> tokens, std::size_t end) {
  Slot& slot = slots_[slot_of(sequence)];
  if (end > slot_tokens_) return false;
  slot.tokens.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(end));
  return true;
}

void SlotKv::release(SequenceId sequence) {
  Slot& slot = slots_[slot_of(sequence)];
  slot.in_use = false;
  slot.last_used = ++clock_;
}

std::span<const BlockId> SlotKv::blocks(SequenceId sequence) const {
  return slots_[slot_of(sequence)].blocks;
}

std::size_t SlotKv::slot_of(SequenceId sequence) const {
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return slot.in_use && slot.sequence == sequence;
  });
  return static_cast<std::size_t>(found - slots_.begin());
}

}  // namespace sample_server
