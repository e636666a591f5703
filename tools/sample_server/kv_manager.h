// Which KV blocks hold which sequence's tokens. A manager only keeps account; the blocks themselves
// are GPU memory that it never sees. Two ways of doing it: PagedKv (vLLM's) and SlotKv
// (llama.cpp's). Not thread-safe: the scheduler owns it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sample_server {

using TokenId = std::int32_t;
using BlockId = std::int32_t;
using SequenceId = std::uint64_t;

class KvManager {
 public:
  virtual ~KvManager() = default;

  // How many of `tokens`, counted from the first, have their KV in the cache. Always fewer than
  // all, since the last token must be computed to know what follows it. No side effects.
  virtual std::size_t cached_prefix(std::span<const TokenId> tokens) const = 0;

  // Takes in a sequence that is not held: its first `cached` tokens, as cached_prefix just said,
  // come from the cache, and blocks are found for the rest up to `end`, which the coming step
  // computes. False, and nothing changed, if there is no room.
  virtual bool admit(SequenceId sequence, std::span<const TokenId> tokens, std::size_t cached,
                     std::size_t end) = 0;

  // Finds blocks for a held sequence up to token `end`. False, and nothing changed, if there is no
  // room.
  virtual bool grow(SequenceId sequence, std::span<const TokenId> tokens, std::size_t end) = 0;

  // The sequence ended or was preempted: its blocks may be reused, and until then be found again.
  virtual void release(SequenceId sequence) = 0;

  // The blocks of a held sequence, in the order of its tokens; valid until the next change.
  virtual std::span<const BlockId> blocks(SequenceId sequence) const = 0;

  // The longest sequence that fits when it is alone, in tokens.
  virtual std::size_t longest_sequence() const = 0;
};

}  // namespace sample_server
