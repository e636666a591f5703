// Counter-based random bits (the SplitMix64 finaliser): the value at an index depends on seed and
// index alone, so weights and prompts come out alike in whatever order they are made.
#pragma once

#include <cstdint>

namespace sample_server {

constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0xd1342543de82ef95ULL + (index + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace sample_server
