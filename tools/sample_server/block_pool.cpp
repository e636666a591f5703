#include "block_pool.h"

#include <algorithm>

namespace sample_server {

BlockHash chained_hash(const BlockHash& parent, std::span<const TokenId> tokens) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, &parent.value, sizeof(parent.value));
  XXH3_128bits_update(&state, tokens.data(), tokens.size_bytes());
  return BlockHash{XXH3_128bits_digest(&state)};
}

BlockPool::BlockPool(std::size_t blocks) : blocks_(blocks) {
  for (std::size_t i = 0; i < blocks; ++i) {
    const BlockId block = static_cast<BlockId>(i);
    blocks_[i].place_in_queue = free_queue_.insert(free_queue_.end(), block);
  }
}

BlockId BlockPool::take() {
  const BlockId block = free_queue_.front();
  free_queue_.pop_front();
  forget(block);
  at(block).references = 1;
  return block;
}

std::optional<BlockId> BlockPool::find(const BlockHash& hash) const {
  const auto found = published_.find(hash);
  if (found == published_.end()) return std::nullopt;
  return found->second.front();
}

void BlockPool::reference(BlockId block) {
  if (at(block).references == 0) free_queue_.erase(at(block).place_in_queue);
  ++at(block).references;
}

void BlockPool::publish(BlockId block, const BlockHash& hash) {
  forget(block);
  at(block).hash = hash;
  published_[hash].push_back(block);
}

void BlockPool::release_tail_first(std::span<const BlockId> blocks) {
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    if (--at(*block).references > 0) continue;
    at(*block).place_in_queue = free_queue_.insert(free_queue_.end(), *block);
  }
}

void BlockPool::forget(BlockId block) {
  if (!at(block).hash) return;
  const auto found = published_.find(*at(block).hash);
  std::erase(found->second, block);
  if (found->second.empty()) published_.erase(found);
  at(block).hash.reset();
}

}  // namespace sample_server
