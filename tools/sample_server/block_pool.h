// KV blocks with vLLM's rules: a free block keeps its content and can be found by the hash of its
// tokens until it is handed out again, which happens in the order in which blocks became free. So
// the free queue is the prefix cache's LRU list. Invariant: a block is in the free queue if and
// only if nobody references it.
#pragma once

#include <xxhash.h>

#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "kv_manager.h"

namespace sample_server {

// Stands for a block's tokens and all tokens before it.
struct BlockHash {
  XXH128_hash_t value{};
  bool operator==(const BlockHash& other) const { return XXH128_isEqual(value, other.value); }
};

BlockHash chained_hash(const BlockHash& parent, std::span<const TokenId> tokens);

class BlockPool {
 public:
  explicit BlockPool(std::size_t blocks);

  std::size_t free_blocks() const { return free_queue_.size(); }
  bool is_free(BlockId block) const { return at(block).references == 0; }

  // Takes the block that has been free longest, and forgets what it held. Requires a free block.
  BlockId take();

  // A block, free or not, that holds these tokens.
  std::optional<BlockId> find(const BlockHash& hash) const;

  // One more user of a block that find() returned.
  void reference(BlockId block);

  // Publishes what a referenced block holds.
  void publish(BlockId block, const BlockHash& hash);

  // One user less for each. The last block given is the first to be handed out again among those
  // that became free, so callers pass a sequence's blocks front to back.
  void release_tail_first(std::span<const BlockId> blocks);

 private:
  struct Block {
    std::size_t references = 0;
    std::optional<BlockHash> hash;
    std::list<BlockId>::iterator place_in_queue;  // while free
  };
  struct HashOfHash {
    std::size_t operator()(const BlockHash& hash) const { return hash.value.low64; }
  };
  Block& at(BlockId block) { return blocks_[static_cast<std::size_t>(block)]; }
  const Block& at(BlockId block) const { return blocks_[static_cast<std::size_t>(block)]; }
  void forget(BlockId block);

  std::vector<Block> blocks_;
  std::list<BlockId> free_queue_;  // the front is handed out next
  // Sequences that ran at the same time may have filled several blocks with the same tokens.
  std::unordered_map<BlockHash, std::vector<BlockId>, HashOfHash> published_;
};

}  // namespace sample_server
