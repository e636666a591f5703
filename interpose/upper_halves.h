// A first look at many words at once: which of them have the window's upper half. One class for
// each kind of processor, made once for many words: what it compares with stays in registers. Hot.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#define VHBM_WIDE_VECTORS [[gnu::target("avx2")]]
#endif

#include "runtime/window.h"

namespace vhbm::interpose {

#if defined(__SSE2__)

class UpperHalves {
 public:
  static constexpr std::size_t words = 16;  // looked at together

  explicit UpperHalves(const Window& window) noexcept
      : mask_(_mm_set1_epi32(static_cast<int>(window.upper_mask()))),
        wanted_(_mm_set1_epi32(static_cast<int>(window.upper()))) {}

  // A bit for each of the words that may lie in the window.
  [[nodiscard]] std::uint32_t candidates(const char* at) const noexcept {
    const __m128i first = _mm_packs_epi32(four(at), four(at + 32));
    const __m128i second = _mm_packs_epi32(four(at + 64), four(at + 96));
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
};

// For processors that has_wide_vectors() knows: nearly all.
class WideUpperHalves {
 public:
  static constexpr std::size_t words = 32;

  VHBM_WIDE_VECTORS explicit WideUpperHalves(const Window& window) noexcept
      : mask_(_mm256_set1_epi32(static_cast<int>(window.upper_mask()))),
        wanted_(_mm256_set1_epi32(static_cast<int>(window.upper()))) {}

  VHBM_WIDE_VECTORS [[nodiscard]] std::uint32_t candidates(const char* at) const noexcept {
    const __m256i first = eight(at), second = eight(at + 64);
    const __m256i third = eight(at + 128), fourth = eight(at + 192);
    const __m256i any =
        _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth));
    if (_mm256_testz_si256(any, any) != 0) [[likely]]
      return 0;
    return bits(first) | bits(second) << 8 | bits(third) << 16 | bits(fourth) << 24;
  }

 private:
  // All ones for each of eight words that may: 0, 1, 4, 5, 2, 3, 6, 7, as the shuffle leaves them.
  VHBM_WIDE_VECTORS [[nodiscard]] __m256i eight(const char* words) const noexcept {
    const auto* at = reinterpret_cast<const float*>(words);
    const __m256 upper =
        _mm256_shuffle_ps(_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8), _MM_SHUFFLE(3, 1, 3, 1));
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(upper), mask_), wanted_);
  }
  // A bit a word, in order.
  VHBM_WIDE_VECTORS [[nodiscard]] static std::uint32_t bits(__m256i eight_words) noexcept {
    const __m256i in_order = _mm256_permute4x64_epi64(eight_words, _MM_SHUFFLE(3, 1, 2, 0));
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(in_order)));
  }

  const __m256i mask_, wanted_;
};

[[nodiscard]] inline bool has_wide_vectors() noexcept {
  return __builtin_cpu_supports("avx2") != 0;
}

#else

class UpperHalves {
 public:
  static constexpr std::size_t words = 16;

  explicit UpperHalves(const Window& window) noexcept
      : mask_(window.upper_mask()), wanted_(window.upper()) {}

  [[nodiscard]] std::uint32_t candidates(const char* at) const noexcept {
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < words; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, at + i * sizeof word, sizeof word);
      const bool may = (static_cast<std::uint32_t>(word >> 32) & mask_) == wanted_;
      found |= std::uint32_t{may} << i;
    }
    return found;
  }

 private:
  const std::uint32_t mask_, wanted_;
};

#endif

}  // namespace vhbm::interpose
