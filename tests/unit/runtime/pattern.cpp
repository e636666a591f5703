#include "pattern.h"

#include <vector>

namespace vhbm {
namespace {

std::uint32_t word_at(std::uint64_t index, std::uint32_t seed) {
  std::uint64_t x = index * 0x9e3779b97f4a7c15ull + seed;
  x ^= x >> 29;
  return static_cast<std::uint32_t>(x * 0xbf58476d1ce4e5b9ull >> 32);
}

std::span<std::uint32_t> buffer(Bytes size) {
  static thread_local std::vector<std::uint32_t> words;
  const std::size_t count = size.value / sizeof(std::uint32_t);
  if (words.size() < count) words.resize(count);
  return {words.data(), count};
}

}  // namespace

std::span<const std::uint32_t> pattern(Bytes size, std::uint32_t seed) {
  const auto words = buffer(size);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = word_at(i, seed);
  return words;
}

std::span<std::uint32_t> words_without_pattern(Bytes size) {
  const auto words = buffer(size);
  for (std::uint32_t& word : words) word = 0xbad0bad1;
  return words;
}

bool is_pattern(std::span<const std::uint32_t> words, std::uint32_t seed) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != word_at(i, seed)) return false;
  }
  return true;
}

}  // namespace vhbm
