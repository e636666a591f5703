#include "runtime/spill/tiered_store.h"

#include <algorithm>
#include <new>

#include "runtime/log.h"

namespace vhbm {
namespace {

// Calls `each` with every piece of `bytes`.
template <typename Byte, typename Each>
void cut(std::span<Byte> bytes, Each each) {
  while (!bytes.empty()) {
    const std::size_t size = std::min<std::size_t>(bytes.size(), piece_size.value);
    each(bytes.first(size));
    bytes = bytes.subspan(size);
  }
}

Status no_memory() {
  return {Errc::out_of_memory, "no memory to keep account of blocks"};
}

Status of_parent() {
  return {Errc::unsupported, "blocks belong to the process that wrote them, not to its children"};
}

}  // namespace

TieredStore::~TieredStore() {
  if (is_ours()) release(std::move(blocks_));
}

Status TieredStore::write(std::span<const BlockSource> blocks) {
  if (blocks.empty()) return {};
  if (!is_ours()) return of_parent();
  try {
    Status status(Errc::tier_full, "there is no tier below host memory");
    for (const auto& medium : media_) {
      status = write_to(*medium, blocks);
      const bool try_next = status.code() == Errc::tier_full ||
                            status.code() == Errc::tier_unreachable ||
                            status.code() == Errc::unsupported;
      if (!try_next) break;
    }
    return status;
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
}

Status TieredStore::write_to(Medium& medium, std::span<const BlockSource> blocks) {
  // 1. What is needed to keep account, before any byte moves.
  std::vector<PieceToWrite> pieces;
  Blocks written;
  for (const BlockSource& source : blocks) {
    Block& block = written[source.key];
    block.medium = &medium;
    block.size = {source.bytes.size()};
    cut(source.bytes, [&](std::span<const std::byte> piece) { pieces.push_back({piece, {}}); });
    block.pieces.resize((source.bytes.size() + piece_size.value - 1) / piece_size.value);
  }
  if (written.size() != blocks.size())
    return {Errc::invalid_value, "a key is twice in one batch of blocks"};
  // 2. The bytes.
  if (Status status = write_pieces(medium, compression_, pieces); !status.ok()) return status;
  // 3. They are kept from here on; what the keys had before is not.
  auto piece = pieces.begin();
  for (const BlockSource& source : blocks) {
    for (PieceRecord& record : written[source.key].pieces) record = (piece++)->record;
  }
  Blocks replaced;
  {
    std::lock_guard lock(mutex_);
    for (const BlockSource& source : blocks) {
      if (auto old = blocks_.extract(source.key)) replaced.insert(std::move(old));
    }
    blocks_.merge(written);
  }
  release(std::move(replaced));
  return {};
}

Status TieredStore::read(std::span<const BlockTarget> blocks) {
  if (!is_ours()) return of_parent();
  try {
    std::map<Medium*, std::vector<PieceToRead>> wanted;
    {
      std::lock_guard lock(mutex_);
      for (const BlockTarget& target : blocks) {
        const auto block = blocks_.find(target.key);
        if (block == blocks_.end() || block->second.size.value != target.bytes.size())
          return {Errc::invalid_value, "no block of that key and size is kept"};
        auto record = block->second.pieces.begin();
        std::vector<PieceToRead>& pieces = wanted[block->second.medium];
        cut(target.bytes, [&](std::span<std::byte> piece) {
          pieces.push_back({piece, *record++});
        });
      }
    }
    for (const auto& [medium, pieces] : wanted) {
      if (Status status = read_pieces(*medium, pieces); !status.ok()) return status;
    }
    return {};
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
}

void TieredStore::drop(std::span<const BlockKey> keys) noexcept {
  if (!is_ours()) return;
  Blocks dropped;
  {
    std::lock_guard lock(mutex_);
    for (const BlockKey key : keys) {
      if (auto block = blocks_.extract(key)) dropped.insert(std::move(block));
    }
  }
  release(std::move(dropped));
}

void TieredStore::release(Blocks blocks) {
  // One medium at a time, so that each is told in one go.
  for (const auto& medium : media_) {
    std::vector<Extent> places;
    try {
      for (const auto& [key, block] : blocks) {
        if (block.medium != medium.get()) continue;
        for (const PieceRecord& piece : block.pieces) places.push_back(piece.place);
      }
    } catch (const std::bad_alloc&) {
      log_warn("{}: no memory to drop all that could be dropped", medium->name());
    }
    medium->release(places);
  }
}

BlockStore::Usage TieredStore::usage() const {
  std::lock_guard lock(mutex_);
  Usage usage;
  for (const auto& [key, block] : blocks_) {
    usage.plain += block.size;
    for (const PieceRecord& piece : block.pieces) usage.packed += piece.place.size;
  }
  return usage;
}

}  // namespace vhbm
