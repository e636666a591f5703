// Chunks and situations as the tests of policies write them.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/residency.h"

namespace vhbm {

constexpr Bytes chunk = mib(2);

inline Candidate resident(std::uint32_t id, std::uint64_t last_use) {
  return {{id}, chunk, last_use, true, false, Tag::other};
}
inline Candidate host(std::uint32_t id, std::uint64_t last_use) {
  return {{id}, chunk, last_use, false, false, Tag::other};
}

inline Situation situation(const std::vector<Candidate>& candidates) {
  Situation made;
  made.candidates = candidates;
  made.most_promotions = made.most_evictions = chunk * 100;
  return made;
}

inline std::vector<std::uint32_t> ids(const std::vector<ChunkId>& chunks) {
  std::vector<std::uint32_t> result;
  for (const ChunkId id : chunks) result.push_back(id.value);
  return result;
}

using Ids = std::vector<std::uint32_t>;

}  // namespace vhbm
