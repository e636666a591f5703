// vLLM's KV manager: sequences hold blocks scattered over one pool; a full block is found again by
// the chained hash of its tokens; decoding adds one block at a time.
#pragma once

#include <unordered_map>
#include <vector>

#include "block_pool.h"
#include "kv_manager.h"

namespace sample_server {

class PagedKv final : public KvManager {
 public:
  PagedKv(std::size_t blocks, std::size_t block_tokens)
      : pool_(blocks), blocks_(blocks), block_tokens_(block_tokens) {}

  std::size_t cached_prefix(std::span<const TokenId> tokens) const override;
  bool admit(SequenceId sequence, std::span<const TokenId> tokens, std::size_t cached,
             std::size_t end) override;
  bool grow(SequenceId sequence, std::span<const TokenId> tokens, std::size_t end) override;
  void release(SequenceId sequence) override;
  std::span<const BlockId> blocks(SequenceId sequence) const override;
  std::size_t longest_sequence() const override { return blocks_ * block_tokens_; }

  std::size_t free_blocks() const { return pool_.free_blocks(); }

 private:
  struct Held {
    std::vector<BlockId> blocks;
    std::vector<BlockHash> hashes;  // of the full blocks published so far
  };
  // The published blocks that `tokens` starts with, and their hashes.
  Held find_prefix(std::span<const TokenId> tokens) const;
  std::size_t blocks_for(std::size_t tokens) const;
  void extend(Held& held, std::span<const TokenId> tokens, std::size_t end);

  BlockPool pool_;
  std::size_t blocks_;
  std::size_t block_tokens_;
  std::unordered_map<SequenceId, Held> held_;
};

}  // namespace sample_server
