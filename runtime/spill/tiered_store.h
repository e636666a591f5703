// The block store over the media there are, the upper ones first: a batch goes to the first that
// has room for it and can be reached. Blocks go in pieces, each with its own place, packing and
// checksum. Locking: a lock over what is known of the blocks, which is not held while bytes move.
#pragma once

#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/compression_choice.h"
#include "runtime/spill/block_store.h"
#include "runtime/spill/piece.h"

namespace vhbm {

class TieredStore : public BlockStore {
 public:
  TieredStore(std::vector<std::unique_ptr<Medium>> media, CompressionChoice compression)
      : media_(std::move(media)), compression_(compression) {}
  ~TieredStore() override;
  TieredStore(const TieredStore&) = delete;
  TieredStore& operator=(const TieredStore&) = delete;

  [[nodiscard]] Status write(std::span<const BlockSource> blocks) override;
  [[nodiscard]] Status read(std::span<const BlockTarget> blocks) override;
  void drop(std::span<const BlockKey> keys) noexcept override;
  [[nodiscard]] Usage usage() const override;

 private:
  struct Block {
    Medium* medium = nullptr;
    Bytes size;
    std::vector<PieceRecord> pieces;
  };
  using Blocks = std::map<BlockKey, Block>;

  // In a forked child all this is the parent's: file, keys, connections.
  [[nodiscard]] bool is_ours() const { return getpid() == owner_; }

  [[nodiscard]] Status write_to(Medium& medium, std::span<const BlockSource> blocks);
  void release(Blocks blocks);

  const std::vector<std::unique_ptr<Medium>> media_;
  const CompressionChoice compression_;
  const pid_t owner_ = getpid();
  mutable std::mutex mutex_;
  Blocks blocks_;
};

}  // namespace vhbm
