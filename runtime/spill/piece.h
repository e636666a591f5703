// A piece of a block on its way: what is known of it in memory, and the batch that moves many at
// once.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/compression_choice.h"
#include "runtime/spill/checksum.h"
#include "runtime/spill/medium.h"

namespace vhbm {

// All that is needed to bring a piece back, and to know that it is the right one.
struct PieceRecord {
  Extent place;
  Bytes packed;  // its length there
  Codec codec = Codec::none;
  Checksum checksum;  // of the plain bytes
};

struct PieceToWrite {
  std::span<const std::byte> bytes;
  PieceRecord record;  // comes to be
};

struct PieceToRead {
  std::span<std::byte> bytes;
  PieceRecord record;
};

// Moves all the pieces, on several channels with several requests in flight on each, by threads
// that are there for as long as this takes. When one fails the rest is given up and its status
// returned; nothing is in flight any more in either case. Writing: reserves the places; a failure
// has released them.
[[nodiscard]] Status write_pieces(Medium& medium, CompressionChoice compression,
                                  std::span<PieceToWrite> pieces);
[[nodiscard]] Status read_pieces(Medium& medium, std::span<const PieceToRead> pieces);

}  // namespace vhbm
