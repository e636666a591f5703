// Where the bytes of a process asleep are kept once they have left host memory: blocks under keys,
// on tiers below. This is all that the pager sees of them; which tiers there are, and what they are
// made of, is behind it.
// Locking: any thread may call; a key is used by one call at a time. Calls block for as long as the
// bytes take, and belong to no hot path.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

// The caller's name for a block; it may be any number.
struct BlockKey {
  std::uint64_t value = 0;
  constexpr auto operator<=>(const BlockKey&) const = default;
};

struct BlockSource {
  BlockKey key;
  std::span<const std::byte> bytes;  // unchanged until the call returns
};

struct BlockTarget {
  BlockKey key;
  std::span<std::byte> bytes;  // as long as the block
};

class BlockStore {
 public:
  virtual ~BlockStore() = default;

  // Keeps the blocks: all of them, or none. Only once it returned ok may their memory go. A key
  // that is kept already gets the new bytes, and keeps the old ones where the call fails.
  //   Errc::tier_full         no tier has the room: leave the bytes where they are
  //   Errc::tier_unreachable  a tier fails or takes too long: leave them, and try later
  //   Errc::out_of_memory     nor is there memory to work with
  [[nodiscard]] virtual Status write(std::span<const BlockSource> blocks) = 0;

  // Reads the blocks back; they stay kept. ok says that every byte is the one that was written.
  // After a failure the targets hold nothing of use, and the blocks are kept still.
  //   Errc::tier_unreachable  as above: the bytes may come back with the tier
  //   Errc::bytes_lost        a tier no longer has them: they are gone
  //   Errc::bytes_corrupted   a tier gave others than were written: they are gone
  [[nodiscard]] virtual Status read(std::span<const BlockTarget> blocks) = 0;

  // Forgets the blocks and gives their room back. Keys that are not kept are passed over.
  virtual void drop(std::span<const BlockKey> keys) noexcept = 0;

  struct Usage {
    Bytes plain;   // of the blocks that are kept
    Bytes packed;  // the room they take, compressed and rounded
  };
  [[nodiscard]] virtual Usage usage() const = 0;
};

}  // namespace vhbm
