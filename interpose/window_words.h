// Which of many words lie in the window. Hot: a launch may have 4 KiB of parameters, so their upper
// halves are compared many words at a time, and only words that pass are looked at one by one.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "interpose/upper_halves.h"

namespace vhbm::interpose {

template <typename Seen>
void look_at_word(const Window& window, const char* at, Seen&& seen) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  if (window.contains(word)) seen(word);
}

template <typename Seen>
void look_at_candidates(const Window& window, const char* words, std::uint32_t may, Seen&& seen) {
  for (; may != 0; may &= may - 1) {
    look_at_word(window, words + sizeof(std::uint64_t) * std::countr_zero(may), seen);
  }
}

// As many together as the processor can, from `words` on: where what is left begins.
template <typename Seen>
const char* words_together(const Window& window, const char* words, const char* end, Seen&& seen) {
  const UpperHalves upper_halves(window);
  constexpr std::size_t step = UpperHalves::words * sizeof(std::uint64_t);
  for (const char* const last = end - step; words <= last; words += step) {
    look_at_candidates(window, words, upper_halves.candidates(words), seen);
  }
  return words;
}
#if defined(VHBM_WIDE_VECTORS)
template <typename Seen>
VHBM_WIDE_VECTORS const char* wide_words_together(const Window& window, const char* words,
                                                  const char* end, Seen&& seen) {
  const WideUpperHalves upper_halves(window);
  constexpr std::size_t step = WideUpperHalves::words * sizeof(std::uint64_t);
  for (const char* const last = end - step; words <= last; words += step) {
    look_at_candidates(window, words, upper_halves.candidates(words), seen);
  }
  return words;
}
#endif

// Out of the way of the few words that most parameters are.
template <typename Seen>
[[gnu::noinline]] void many_words_in_window(const Window& window, const char* words,
                                            std::size_t count, Seen&& seen) {
  const char* const end = words + count * sizeof(std::uint64_t);
#if defined(VHBM_WIDE_VECTORS)
  if (count >= WideUpperHalves::words && has_wide_vectors()) {
    words = wide_words_together(window, words, end, seen);
    count = static_cast<std::size_t>(end - words) / sizeof(std::uint64_t);
  }
#endif
  if (count >= UpperHalves::words) words = words_together(window, words, end, seen);
  for (; words != end; words += sizeof(std::uint64_t)) look_at_word(window, words, seen);
}

// Calls `seen` with each of `count` words that lies in the window, in order. `words` need not be
// aligned.
template <typename Seen>
void words_in_window(const Window& window, const char* words, std::size_t count, Seen&& seen) {
  if (count >= UpperHalves::words) [[unlikely]] {
    return many_words_in_window(window, words, count, seen);
  }
  const char* const end = words + count * sizeof(std::uint64_t);
  for (; words != end; words += sizeof(std::uint64_t)) look_at_word(window, words, seen);
}

}  // namespace vhbm::interpose
