// Which compression blocks get on their way below host memory, as an option says it.
#pragma once

namespace vhbm {

enum class Codec { none, lz4, zstd };

struct CompressionChoice {
  Codec codec = Codec::none;
  int level = 0;  // of zstd: 1 to 19; of no meaning otherwise
  constexpr bool operator==(const CompressionChoice&) const = default;
};

}  // namespace vhbm
