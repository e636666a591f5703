// The range of device addresses that regions are carved from. "Is this ours?" is one subtraction
// and one compare; of many words at once, a first look at their upper halves leaves out nearly all.
#pragma once

#include <bit>
#include <cstdint>

#include "runtime/units.h"

namespace vhbm {

class Window {
 public:
  constexpr Window() = default;
  constexpr Window(DeviceAddress begin, Bytes size) : begin_(begin.value), size_(size.value) {
    if (size_ == 0) return;
    const std::uint32_t first = upper(begin_), last = upper(begin_ + size_ - 1);
    // The bits from the highest one that differs downwards say nothing.
    const int open_bits = std::bit_width(first ^ last);
    upper_mask_ = open_bits == 32 ? 0 : ~std::uint32_t{0} << open_bits;
    upper_ = first & upper_mask_;
  }

  [[nodiscard]] constexpr bool contains(std::uint64_t word) const noexcept {
    return word - begin_ < size_;
  }
  [[nodiscard]] constexpr std::uint64_t begin() const noexcept { return begin_; }
  [[nodiscard]] constexpr std::uint64_t end() const noexcept { return begin_ + size_; }

  // A word whose upper half, masked, is not this one lies outside.
  [[nodiscard]] constexpr std::uint32_t upper_mask() const noexcept { return upper_mask_; }
  [[nodiscard]] constexpr std::uint32_t upper() const noexcept { return upper_; }

 private:
  static constexpr std::uint32_t upper(std::uint64_t word) {
    return static_cast<std::uint32_t>(word >> 32);
  }

  std::uint64_t begin_ = 0, size_ = 0;
  std::uint32_t upper_mask_ = 0, upper_ = 1;  // that no masked half equals
};

}  // namespace vhbm
