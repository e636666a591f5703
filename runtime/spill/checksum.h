// The checksum that a piece has to show on its way back: 128 bits, over the plain bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vhbm {

struct Checksum {
  std::uint64_t low = 0, high = 0;
  constexpr bool operator==(const Checksum&) const = default;
};

[[nodiscard]] Checksum checksum_of(std::span<const std::byte> bytes);

}  // namespace vhbm
