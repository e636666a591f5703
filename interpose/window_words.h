// Which of many words lie in the window. Hot: a launch may have 4 KiB of parameters, so their upper
// halves are compared 16 words at a time, and only words that pass are looked at one by one.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "runtime/window.h"

namespace vhbm::interpose {

inline constexpr std::size_t words_at_once = 16;

// Looks at the upper halves. Made once for many words: what it compares with stays in registers.
class UpperHalves {
 public:
#if defined(__SSE2__)
  explicit UpperHalves(const Window& window) noexcept
      : mask_(_mm_set1_epi32(static_cast<int>(window.upper_mask()))),
        wanted_(_mm_set1_epi32(static_cast<int>(window.upper()))) {}

  // A bit for each of the words that may lie in the window.
  [[nodiscard]] std::uint32_t candidates(const char* words) const noexcept {
    const __m128i first = _mm_packs_epi32(four(words), four(words + 32));
    const __m128i second = _mm_packs_epi32(four(words + 64), four(words + 96));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(first, second)));
  }

 private:
  // All ones for each of four words that may.
  [[nodiscard]] __m128i four(const char* words) const noexcept {
    const auto* at = reinterpret_cast<const float*>(words);
    const __m128 upper =
        _mm_shuffle_ps(_mm_loadu_ps(at), _mm_loadu_ps(at + 4), _MM_SHUFFLE(3, 1, 3, 1));
    return _mm_cmpeq_epi32(_mm_and_si128(_mm_castps_si128(upper), mask_), wanted_);
  }

  const __m128i mask_, wanted_;
#else
  explicit UpperHalves(const Window& window) noexcept
      : mask_(window.upper_mask()), wanted_(window.upper()) {}

  [[nodiscard]] std::uint32_t candidates(const char* words) const noexcept {
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < words_at_once; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, words + i * sizeof word, sizeof word);
      const bool may = (static_cast<std::uint32_t>(word >> 32) & mask_) == wanted_;
      found |= std::uint32_t{may} << i;
    }
    return found;
  }

 private:
  const std::uint32_t mask_, wanted_;
#endif
};

// Calls `seen` with each of `count` words that lies in the window, in order. `words` need not be
// aligned.
template <typename Seen>
void words_in_window(const Window& window, const char* words, std::size_t count, Seen&& seen) {
  const auto look_at = [&](const char* at) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    if (window.contains(word)) seen(word);
  };
  const char* const end = words + count * sizeof(std::uint64_t);
  if (count >= words_at_once) [[unlikely]] {
    const UpperHalves upper_halves(window);
    constexpr std::size_t step = words_at_once * sizeof(std::uint64_t);
    for (const char* const last = end - step; words <= last; words += step) {
      for (std::uint32_t may = upper_halves.candidates(words); may != 0; may &= may - 1) {
        look_at(words + sizeof(std::uint64_t) * static_cast<std::size_t>(std::countr_zero(may)));
      }
    }
  }
  for (; words != end; words += sizeof(std::uint64_t)) look_at(words);
}

}  // namespace vhbm::interpose
