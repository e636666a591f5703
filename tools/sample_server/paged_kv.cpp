#include "paged_kv.h"

#include <algorithm>

namespace sample_server {

std::size_t PagedKv::blocks_for(std::size_t tokens) const {
  return (tokens + block_tokens_ - 1) / block_tokens_;
}

PagedKv::Held PagedKv::find_prefix(std::span<const TokenId> tokens) const {
  Held found;
  BlockHash parent;
  // Strictly fewer than all tokens: the last one is computed in any case.
  for (std::size_t end = block_tokens_; end < tokens.size(); end += block_tokens_) {
    parent = chained_hash(parent, tokens.subspan(end - block_tokens_, block_tokens_));
    const auto block = pool_.find(parent);
    if (!block) break;
    found.blocks.push_back(*block);
    found.hashes.push_back(parent);
  }
  return found;
}

std::size_t PagedKv::cached_prefix(std::span<const TokenId> tokens) const {
  return find_prefix(tokens).blocks.size() * block_tokens_;
}

bool PagedKv::admit(SequenceId sequence, std::span<const TokenId> tokens, std::size_t cached,
                    std::size_t end) {
  Held held = find_prefix(tokens.first(std::min(tokens.size(), cached + 1)));
  // Cached blocks that nobody uses now leave the free queue as well.
  const auto revived = static_cast<std::size_t>(std::count_if(
      held.blocks.begin(), held.blocks.end(), [&](BlockId block) { return pool_.is_free(block); }));
  if (blocks_for(end) - held.blocks.size() + revived > pool_.free_blocks()) return false;
  for (const BlockId block : held.blocks) pool_.reference(block);
  extend(held, tokens, end);
  held_.emplace(sequence, std::move(held));
  return true;
}

bool PagedKv::grow(SequenceId sequence, std::span<const TokenId> tokens, std::size_t end) {
  Held& held = held_.at(sequence);
  const std::size_t needed = blocks_for(end);
  if (needed > held.blocks.size() && needed - held.blocks.size() > pool_.free_blocks()) {
    return false;
  }
  extend(held, tokens, end);
  return true;
}

// Blocks that the coming step fills are published now: a sequence that joins the same step may use
// them, because a step stores the KV of all its tokens before any of them attends.
void PagedKv::extend(Held& held, std::span<const TokenId> tokens, std::size_t end) {
  while (held.blocks.size() < blocks_for(end)) held.blocks.push_back(pool_.take());
  for (std::size_t full = held.hashes.size(); (full + 1) * block_tokens_ <= end; ++full) {
    const BlockHash parent = full == 0 ? BlockHash{} : held.hashes.back();
    const auto content = tokens.subspan(full * block_tokens_, block_tokens_);
    held.hashes.push_back(chained_hash(parent, content));
    pool_.publish(held.blocks[full], held.hashes.back());
  }
}

void PagedKv::release(SequenceId sequence) {
  const auto found = held_.find(sequence);
  pool_.release_tail_first(found->second.blocks);
  held_.erase(found);
}

std::span<const BlockId> PagedKv::blocks(SequenceId sequence) const {
  return held_.at(sequence).blocks;
}

}  // namespace sample_server
