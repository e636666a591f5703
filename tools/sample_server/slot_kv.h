// llama.cpp's KV manager: the cache is cut into equal, contiguous slots, a sequence has one slot to
// itself, and the slot keeps its tokens afterwards. A new sequence takes the free slot that starts
// most like it, if that is more than a tenth of its tokens, else the one unused for longest.
#pragma once

#include <optional>
#include <vector>

#include "kv_manager.h"

namespace sample_server {

class SlotKv final : public KvManager {
 public:
  SlotKv(std::size_t blocks, std::size_t block_tokens, std::size_t slots);

  std::size_t cached_prefix(std::span<const TokenId> tokens) const override;
  bool admit(SequenceId sequence, std::span<const TokenId> tokens, std::size_t cached,
             std::size_t end) override;
  bool grow(SequenceId sequence, std::span<const TokenId> tokens, std::size_t end) override;
  void release(SequenceId sequence) override;
  std::span<const BlockId> blocks(SequenceId sequence) const override;
  std::size_t longest_sequence() const override { return slot_tokens_; }

 private:
  struct Slot {
    std::vector<BlockId> blocks;  // consecutive
    std::vector<TokenId> tokens;  // whose KV it holds
    bool in_use = false;
    SequenceId sequence = 0;  // while in use
    std::uint64_t last_used = 0;
  };
  struct Choice {
    std::optional<std::size_t> slot;  // none if all are in use
    std::size_t shared = 0;           // tokens it shares with the new sequence, and keeps
  };
  Choice choose(std::span<const TokenId> tokens) const;
  std::size_t slot_of(SequenceId sequence) const;

  std::vector<Slot> slots_;
  std::size_t slot_tokens_;
  std::uint64_t clock_ = 0;
};

}  // namespace sample_server
